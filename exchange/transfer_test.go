package exchange

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// overTransports runs a test on TCP with TLS and on QUIC.
func overTransports(t *testing.T, test func(t *testing.T, transport string)) {
	for _, transport := range slices.Sorted(maps.Keys(transports)) {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, transport)
		})
	}
}

// One node has a file, another gets it whole: tree, haves, pieces, and the
// books of both agree.
func TestTransfer(t *testing.T) {
	t.Parallel()
	overTransports(t, func(t *testing.T, transport string) {
		n := newNodes(t, transport, 2, Config{})
		c := makeContent(t, 1, 5<<20+12345, merkle.UnixFSv1)
		n[1].put(c)
		g := n[0].get(c.root, n[0].dial(n[1]))
		if err := g.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, p := range c.pieces {
			total += int64(len(p))
		}
		if got := n[0].x.Balance(n[1].h.ID()).Received; got != total {
			t.Errorf("received %d bytes by the balance, want %d", got, total)
		}
		until(t, "the sender has counted", func() bool {
			return n[1].x.Balance(n[0].h.ID()).Sent == total && n[1].x.Sent(c.root) == total
		})
		if g.wasted > 0 || g.rejects > 0 {
			t.Errorf("%d bytes wasted, %d pieces rejected", g.wasted, g.rejects)
		}
		if n[1].reads != len(c.pieces) {
			t.Errorf("%d reads of %d pieces", n[1].reads, len(c.pieces))
		}
		if s := n[0].x.session(n[1].h.ID()); s.Path() != LAN {
			t.Errorf("loopback is %v", s.Path())
		}
		g.root.Close()
	})
}

// Many nodes get a file from one seed and from each other, all sessions at once.
func TestCrowd(t *testing.T) {
	t.Parallel()
	overTransports(t, func(t *testing.T, transport string) {
		n := newNodes(t, transport, 5, Config{})
		c := makeContent(t, 2, 6<<20, merkle.UnixFSv0)
		n[0].put(c)
		var wg sync.WaitGroup
		gs := make([]*getter, 5)
		for i := 1; i < 5; i++ {
			var from []*Session
			for j := range i {
				from = append(from, n[i].dial(n[j]))
			}
			gs[i] = n[i].get(c.root, from...)
			gs[i].window = 2
			wg.Go(func() {
				if err := gs[i].run(t.Context()); err != nil {
					t.Error(err)
				}
				// Goes on receiving, as an owner must until it closes.
				for range 20 {
					select {
					case <-gs[i].events:
					case <-time.After(50 * time.Millisecond):
					}
				}
				gs[i].root.Close()
			})
		}
		wg.Wait()
		among := 0
		for _, g := range gs[1:] {
			for id, pieces := range g.from {
				if id != n[0].h.ID() {
					among += pieces
				}
			}
		}
		if among == 0 {
			t.Error("the four gave each other nothing")
		}
	})
}

// A peer that is still downloading serves what it has: the third node knows
// only it.
func TestChain(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "tcp", 3, Config{})
	c := makeContent(t, 3, 8<<20, merkle.UnixFSv1)
	n[0].put(c)
	middle := n[1].get(c.root, n[1].dial(n[0]))
	middle.window = 1
	last := n[2].get(c.root, n[2].dial(n[1]))
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		if err := middle.run(t.Context()); err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-middle.events:
			case <-done:
				return
			}
		}
	})
	if err := last.run(t.Context()); err != nil {
		t.Error(err)
	}
	close(done)
	wg.Wait()
}

// An owner may leave and come back: peers are served meanwhile, and tell the
// new owner what they have.
func TestOwnerComesBack(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "tcp", 2, Config{})
	c := makeContent(t, 4, 4<<20, merkle.UnixFSv1)
	n[0].put(c, 0, 1)
	n[1].put(c, 2, 3)
	s := n[0].dial(n[1])

	// The other node fetches from this one, which only serves.
	r1, e1 := n[1].open(c.root)
	until(t, "the session is at both ends", func() bool { return n[1].x.session(n[0].h.ID()) != nil })
	r1.Hold(c.held(2, 3))
	r1.Join(n[1].x.session(n[0].h.ID()))
	if o := await[Opened](t, e1); o.Missing || o.Pieces != 4 {
		t.Fatalf("got %+v", o)
	}
	await[Haves](t, e1)

	// Twice this one becomes an owner of the root.
	for range 2 {
		r0, e0 := n[0].open(c.root)
		r0.Hold(c.held(0, 1))
		r0.Join(s)
		if o := await[Opened](t, e0); o.Missing {
			t.Fatalf("got %+v", o)
		}
		if h := await[Haves](t, e0); !slices.Equal(h.Runs, []Run{{2, 2}}) {
			t.Fatalf("got %+v", h)
		}
		// What was asked of it before, during and after is served.
		r1.Request(n[1].x.session(n[0].h.ID()), []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
		await[Received](t, e1).Release()
		r0.Close()
		r1.Request(n[1].x.session(n[0].h.ID()), []Ask{{Piece: 1, Count: 16, Size: 1 << 20}})
		await[Received](t, e1).Release()
	}
}

// A root can be opened by one owner at a time.
func TestOneOwner(t *testing.T) {
	t.Parallel()
	n := newNode(t, newHost(t, "tcp"), Config{})
	c := makeContent(t, 5, 100, merkle.UnixFSv1)
	r, _ := n.open(c.root)
	if _, err := n.x.Open(c.root, nil); err == nil {
		t.Error("a second owner may open the root")
	}
	r.Close()
	r.Close()
	r, err := n.x.Open(c.root, make(chan Event))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	n.x.Close()
	if _, err := n.x.Open(c.root, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// A node that had nothing of a root tells those who asked once it has.
func TestFoundLater(t *testing.T) {
	t.Parallel()
	n := newNodes(t, "tcp", 2, Config{})
	c := makeContent(t, 6, 3<<20, merkle.UnixFSv1)
	g := n[0].get(c.root, n[0].dial(n[1]))
	if o := await[Opened](t, g.events); !o.Missing {
		t.Fatalf("got %+v", o)
	}
	n[1].put(c)
	n[1].x.Refresh(c.root)
	if err := g.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}
