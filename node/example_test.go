package node_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
)

// Two nodes in one program: one shares a file, the other gets it by its link.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shoal-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	start := func(name string) *node.Node {
		n, err := node.Start(ctx, node.Config{
			Dir:     filepath.Join(dir, name),
			Listen:  []string{"/ip4/127.0.0.1/tcp/0"}, // this machine only
			MDNS:    "off",
			PortMap: "off",
		})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	alice, bob := start("alice"), start("bob")
	defer alice.Close()
	defer bob.Close()

	file := filepath.Join(dir, "hello.txt")
	if err := os.WriteFile(file, []byte("hello, shoal\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	added, err := alice.Add(ctx, file, node.AddOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(added.CID)

	target, err := merkle.ParseTarget(added.Link)
	if err != nil {
		log.Fatal(err)
	}
	got, err := bob.Fetch(ctx, target, node.FetchOptions{Output: filepath.Join(dir, "got.txt")})
	if err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(got.Path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	fmt.Println(got.Verified, got.From.LAN.Peers)
	// Output:
	// bafkreian7vabm73cajjpxin6isjszzwsexh223hfaioeh363otm3jgqeia
	// hello, shoal
	// true 1
}
