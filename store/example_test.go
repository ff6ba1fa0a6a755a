package store_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/store"
)

// Add a file in place and read its one piece back, verified.
func Example() {
	dir, err := os.MkdirTemp("", "shoal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "greeting.txt")
	if err := os.WriteFile(path, []byte("hello, shoal\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	d, err := store.Open(filepath.Join(dir, "store"), store.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	ctx := context.Background()
	root, err := d.Add(ctx, path, store.AddOptions{})
	if err != nil {
		log.Fatal(err)
	}
	tree, err := store.LoadTree(d, root.CID)
	if err != nil {
		log.Fatal(err)
	}
	table, err := tree.Table()
	if err != nil {
		log.Fatal(err)
	}
	piece, err := d.ReadPiece(ctx, table.Pieces[0].Key, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v %d %q\n", root.CID, root.Pieces, piece)
	// Output: bafkreian7vabm73cajjpxin6isjszzwsexh223hfaioeh363otm3jgqeia 1 "hello, shoal\n"
}
