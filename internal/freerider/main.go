package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ways are how a rider goes about it.
type ways struct {
	listen string        // address of every identity
	ids    int           // identities at once
	rotate time.Duration // life of an identity; 0: for ever
	claim  string        // what it says it has: none, truth or half, of which it gives nothing
}

func main() {
	var w ways
	flag.StringVar(&w.listen, "listen", "/ip4/127.0.0.1/tcp/0", "where every identity listens")
	flag.IntVar(&w.ids, "ids", 1, "identities at once")
	flag.DurationVar(&w.rotate, "rotate", 0, "change an identity after so long")
	flag.StringVar(&w.claim, "claim", "truth", "what it says it has: none, truth, half")
	out := flag.String("o", "", "the file to make")
	flag.Parse()
	if err := run(w, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "freerider:", err)
		os.Exit(1)
	}
}

// run fetches the file that args[0] names from the peers at args[1:] and those
// that they know.
func run(w ways, out string, args []string) error {
	if len(args) < 2 || out == "" {
		return fmt.Errorf("usage: freerider -o FILE [-ids N] [-rotate D] [-claim none|truth|half] CID MULTIADDR")
	}
	root, err := cid.Decode(args[0])
	if err != nil {
		return err
	}
	var known []peer.AddrInfo
	for _, a := range args[1:] {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return err
		}
		known = append(known, *info)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close() // an error shows in what is compared afterwards
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := newRide(w, root, f, known)
	if err != nil {
		return err
	}
	return r.run(ctx)
}
