package node

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/reach"
)

// forger serves what a node holds, with a bit changed in each piece.
type forger struct{ exchange.Library }

func (f forger) ReadPiece(ctx context.Context, key merkle.Key, buf []byte) ([]byte, error) {
	b, err := f.Library.ReadPiece(ctx, key, buf)
	if err == nil {
		b[len(b)/2] ^= 1
	}
	return b, err
}

// treeForger serves trees with a bit changed.
type treeForger struct{ exchange.Library }

func (f treeForger) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	b, err := f.Library.Block(ctx, c)
	if err == nil {
		b = slices.Clone(b)
		b[len(b)/2] ^= 1
	}
	return b, err
}

// bare runs a peer that speaks the exchange protocol and serves lib.
func bare(t *testing.T, lib exchange.Library) (host.Host, string) {
	t.Helper()
	key, err := identity(t.TempDir())
	must(t, err)
	h, err := hostOn(Config{PortMap: "off"}, key, nil, reach.New(reach.Config{}), []string{"/ip4/127.0.0.1/tcp/0"})
	must(t, err)
	x := exchange.New(h, exchange.Config{Library: lib})
	t.Cleanup(func() {
		must(t, x.Close())
		must(t, h.Close())
	})
	return h, h.Addrs()[0].String() + "/p2p/" + h.ID().String()
}

func TestFetchInSpiteOfLiar(t *testing.T) {
	t.Parallel()
	data := noise(30, 6*mib)
	a, b := start(t, upload("4MB/s")), start(t) // slow, so that the liar is asked too
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	liar, addr := bare(t, forger{(*library)(a)})
	opt := from(a)
	opt.Peers = append(opt.Peers, addr)
	r := mustGet(t, b, target, opt, data)
	if r.Rejected != mib {
		t.Errorf("%d bytes rejected; want one piece", r.Rejected)
	}
	if len(r.Liars) != 1 || !strings.Contains(r.Liars[0], liar.ID().String()) {
		t.Errorf("liars %v; want %v", r.Liars, liar.ID())
	}
	if r.From.LAN.Peers != 1 {
		t.Errorf("from %+v; want one LAN peer", r.From)
	}
	for _, s := range b.exchange.Sessions() {
		if s.Peer == liar.ID() {
			t.Error("the liar still has a session")
		}
	}
}

func TestOnlyLiars(t *testing.T) {
	t.Parallel()
	forge := map[string]func(exchange.Library) exchange.Library{
		"pieces": func(l exchange.Library) exchange.Library { return forger{l} },
		"tree":   func(l exchange.Library) exchange.Library { return treeForger{l} },
	}
	for name, f := range forge {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := start(t), start(t)
			target := share(t, a, put(t, "data.bin", noise(31, 3*mib)), AddOptions{})
			liar, addr := bare(t, f((*library)(a)))
			_, err := get(t, b, target, FetchOptions{Peers: []string{addr}})
			e := as[*VerificationError](t, err)
			if len(e.Liars) != 1 || !strings.Contains(e.Liars[0], liar.ID().String()) {
				t.Errorf("liars %v; want %v", e.Liars, liar.ID())
			}
		})
	}
}
