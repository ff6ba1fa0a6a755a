package merkle_test

import (
	"fmt"

	"github.com/shoal-p2p/shoal/merkle"
)

// A file is cut into leaves and read back from its tree and its pieces.
func Example() {
	content := make([]byte, 3<<20)
	file := merkle.UnixFSv1.NewFile()
	for at := 0; at < len(content); at += merkle.UnixFSv1.LeafSize() {
		file.Add(merkle.UnixFSv1.Leaf(content[at : at+merkle.UnixFSv1.LeafSize()]))
	}
	root, blocks := file.Finish(0)
	fmt.Println(root.CID)

	tree, err := merkle.NewTree(root.CID)
	if err != nil {
		panic(err)
	}
	for _, b := range blocks {
		if err := tree.Add(b.Data); err != nil {
			panic(err)
		}
	}
	table, err := tree.Table()
	if err != nil {
		panic(err)
	}
	fmt.Println(len(table.Pieces), "piece at", len(table.Places(0)), "places")
	_, err = table.Pieces[0].Verify(content[:1<<20])
	fmt.Println("verified:", err == nil)
	// Output:
	// bafybeigdsjup7aizxrrjn7yqtcmqg6ffksaugwr7is2ind3cf7esaqrz4m
	// 1 piece at 3 places
	// verified: true
}
