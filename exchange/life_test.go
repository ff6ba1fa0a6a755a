package exchange

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/merkle"
)

// inVirtualTime runs a test in a bubble, with n connected nodes on QUIC.
func inVirtualTime(t *testing.T, n int, cfg Config, test func(t *testing.T, n []*node)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, n, testnet.Config{})
		nodes := make([]*node, n)
		for i, h := range hosts {
			nodes[i] = newNode(t, h, cfg)
		}
		test(t, nodes)
	})
}

// A file goes from one to another in virtual time, and the figures are those
// of the link: 4 MiB at 100 Mbit/s.
func TestTransferInVirtualTime(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 20, 4<<20, merkle.UnixFSv1)
		n[1].put(c)
		g := n[0].get(c.root, n[0].dial(n[1]))
		start := time.Now()
		if err := g.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 330*time.Millisecond || took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if s := n[0].x.session(n[1].h.ID()); s.RTT() < 20*time.Millisecond || s.RTT() > 40*time.Millisecond || s.Path() != WAN {
			t.Errorf("RTT %v over %v, want 20 ms over wan", s.RTT(), s.Path())
		}
	})
}

// Two peers that met have often two connections, each of which is told: the
// session moves once, and one is left at both ends.
func TestImproveOnce(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		n[0].dial(n[1]).path.Store(uint32(Relay))
		var opened atomic.Int32
		n[1].h.SetStreamHandler(n[1].x.control, func(st network.Stream) {
			if opened.Add(1) == 1 { // the peer has given up this connection
				st.Reset()
				return
			}
			n[1].x.accept(st)
		})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := n[0].x.Improve(t.Context(), n[1].h.ID()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		for i, o := range []int{1, 0} {
			if s := n[i].x.session(n[o].h.ID()); s == nil || s.Path() != WAN {
				t.Errorf("node %d has no session over the direct way", i)
			}
		}
		if got := opened.Load(); got != 2 {
			t.Errorf("tried %d times, the first in vain", got)
		}
	})
}

// The direct connection is there before the session over the relay is: it moves
// all the same.
func TestImproveWhileOpening(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		x, p := n[0].x, n[1].h.ID()
		opening := make(chan struct{})
		x.mu.Lock()
		x.dials[p] = opening
		x.mu.Unlock()
		done := make(chan error, 1)
		go func() { done <- x.Improve(t.Context(), p) }()
		synctest.Wait()
		if err := n[0].h.Connect(t.Context(), info(n[1].h)); err != nil {
			t.Fatal(err)
		}
		s, err := x.greet(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		s.path.Store(uint32(Relay))
		x.mu.Lock()
		delete(x.dials, p)
		x.mu.Unlock()
		close(opening)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := x.session(p); s == nil || s.Path() != WAN {
			t.Error("the session stays on the relay")
		}
	})
}

// The upload limit holds the sender to its rate, the download limit the receiver.
func TestLimitedTransfer(t *testing.T) {
	for name, cfg := range map[string]Config{
		"upload":   {Upload: Limit{Rate: 1 << 20}},
		"download": {Download: Limit{Rate: 1 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 2, cfg, func(t *testing.T, n []*node) {
				c := makeContent(t, 21, 4<<20, merkle.UnixFSv1)
				n[1].put(c)
				g := n[0].get(c.root, n[0].dial(n[1]))
				start := time.Now()
				if err := g.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < 3800*time.Millisecond || took > 5*time.Second {
					t.Errorf("4 MiB at 1 MiB/s took %v", took)
				}
			})
		})
	}
}

// Over 10 s the limits are exact, however many peers there are: one sends to
// three, and one receives from three.
func TestLimitedCrowd(t *testing.T) {
	const rate = 1.5e6
	for name, up := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 4, Config{}, func(t *testing.T, n []*node) {
				cfg := Config{Library: n[0].shelf, Download: Limit{Rate: rate}}
				if up {
					cfg = Config{Library: n[0].shelf, Upload: Limit{Rate: rate}}
				}
				n[0].x.Close()
				n[0].x = New(n[0].h, cfg)
				c := makeContent(t, 21, 20<<20, merkle.UnixFSv1)
				ctx, stop := context.WithCancel(t.Context())
				var all sync.WaitGroup
				defer all.Wait()
				defer stop()
				var from []*Session
				for _, other := range n[1:] {
					if other.put(c); !up {
						from = append(from, n[0].dial(other))
						continue
					}
					n[0].put(c)
					g := other.get(c.root, other.dial(n[0]))
					all.Go(func() { g.run(ctx) })
				}
				if !up {
					g := n[0].get(c.root, from...)
					all.Go(func() { g.run(ctx) })
				}
				moved := func() (sum int64) {
					for _, s := range n[0].x.Sessions() {
						b := n[0].x.Balance(s.Peer)
						sum += b.Received + b.Sent
					}
					return sum
				}
				time.Sleep(time.Second)
				before := moved()
				time.Sleep(10 * time.Second)
				if got := float64(moved()-before) / 10; math.Abs(got/rate-1) > 0.05 {
					t.Errorf("%.0f bytes/s of %.0f", got, rate)
				}
			})
		})
	}
}

// Two that dial each other at once end with one session, the same at both
// ends, and all works, whatever the order of things.
func TestBothDial(t *testing.T) {
	for _, apart := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 60 * time.Millisecond} {
		t.Run(apart.String(), func(t *testing.T) {
			inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
				a, b := makeContent(t, 22, 2<<20, merkle.UnixFSv1), makeContent(t, 23, 2<<20, merkle.UnixFSv1)
				n[0].put(a)
				n[1].put(b)
				testnet.Connect(t, n[0].h, n[1].h)
				var wg sync.WaitGroup
				for i := range n {
					for range 3 { // callers share an attempt
						wg.Go(func() {
							time.Sleep(time.Duration(i) * apart)
							if s, err := n[i].x.Session(t.Context(), testnet.Info(n[1-i].h)); err != nil || s.Peer != n[1-i].h.ID() {
								t.Errorf("node %d: %v", i, err)
							}
						})
					}
				}
				wg.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				s, p := n[0].x.session(n[1].h.ID()), n[1].x.session(n[0].h.ID())
				if s == nil || p == nil || s.nonce != p.remote || p.nonce != s.remote || s.outbound == p.outbound {
					t.Fatalf("the ends differ: %+v, %+v", s, p)
				}
				if lower := n[0].h.ID() < n[1].h.ID(); apart == 0 && s.outbound != lower {
					t.Error("the stream of the higher peer ID stayed")
				}
				if len(n[0].x.Sessions()) != 1 || len(n[1].x.Sessions()) != 1 {
					t.Error("more than one session is left")
				}
				for i, c := range []content{b, a} {
					wg.Go(func() {
						if err := n[i].get(c.root, n[i].x.session(n[1-i].h.ID())).run(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// A session that takes the place of another: the owner hears of the end of
// the old one before anything of the new one, OnSession included; what waited
// for the old one is forgotten, and the new one is served.
func TestReplaced(t *testing.T) {
	var told []*Session
	var events chan Event
	cfg := Config{OnSession: func(s *Session) {
		if len(told) > 0 {
			select {
			case ev := <-events:
				if g, ok := ev.(Gone); !ok || g.From != told[0] {
					panic("something else came before Gone")
				}
			default:
				panic("a new session before the old one was Gone")
			}
		}
		told = append(told, s)
	}}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		seed := newNode(t, hosts[0], cfg)
		c := makeContent(t, 24, 4<<20, merkle.UnixFSv1)
		seed.put(c)
		var r *Root
		r, events = seed.open(c.root)
		r.Hold(c.held())
		first := handshake(t, hosts[1], seed, 1)
		synctest.Wait()
		r.Join(told[0])
		first.say(openMessage(1, c.root, 4, false))
		synctest.Wait()
		await[Opened](t, events)
		seed.gate = make(chan struct{}) // the old session has frames on their way
		first.say(requestMessage(1, 0, 0, 64))
		synctest.Wait()
		second := handshake(t, hosts[1], seed, 2)
		synctest.Wait()
		if len(told) != 2 || told[0].why() == nil {
			t.Fatalf("%d sessions", len(told))
		}
		close(seed.gate)
		synctest.Wait()
		if b := seed.x.server.lanes[0].queues; len(b) != 1 {
			t.Errorf("%d queues", len(b))
		}
		data := make(chan int, 1)
		hosts[1].SetStreamHandler(seed.x.data, second.readAll(data))
		second.say(openMessage(1, c.root, 4, false))
		second.say(requestMessage(1, 0, 0, 64))
		if n := <-data; n != 4<<20 {
			t.Errorf("%d bytes", n)
		}
	})
}

// Close while everything is in flight, at either end, leaves no goroutine, no
// buffer in use, and unblocks owners that no longer receive.
func TestCloseInFlight(t *testing.T) {
	inVirtualTime(t, 3, Config{Upload: Limit{Rate: 1 << 20}}, func(t *testing.T, n []*node) {
		c := makeContent(t, 25, 20<<20, merkle.UnixFSv1)
		n[1].put(c)
		n[2].put(c, 1, 2, 3, 4, 5)
		g := n[0].get(c.root, n[0].dial(n[1]), n[0].dial(n[2]))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if err := g.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("ended early: %v", err)
		}
		cancel()
		sessions := slices.Concat(n[0].x.Sessions(), n[1].x.Sessions(), n[2].x.Sessions())
		time.Sleep(5 * time.Second) // nobody receives the owner's events: they pile up
		for i := range n {
			n[i].x.Close()
			n[i].x.Close()
		}
		synctest.Wait()
		if left := exchangeGoroutines(t); len(left) > 0 {
			t.Errorf("%d goroutines left, such as\n%s", len(left), left[0])
		}
		for _, s := range sessions {
			if len(s.pending) > 0 || s.why() == nil || s.ctx.Err() == nil {
				t.Errorf("%d pieces pending, ended: %v", len(s.pending), s.why())
			}
		}
		for i := range n {
			if len(n[i].x.server.cache.byKey) > 0 || len(n[i].x.sessions) > 0 {
				t.Errorf("node %d: %d pieces cached, %d sessions", i, len(n[i].x.server.cache.byKey), len(n[i].x.sessions))
			}
			for _, l := range n[i].x.server.lanes {
				if l.slots != 4 || len(l.queues) > 0 {
					t.Errorf("node %d: %d slots, %d queues", i, l.slots, len(l.queues))
				}
			}
		}
	})
}

// Close saves the balances; New goes on from them.
func TestBalancesAreKept(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 26, 1<<20, merkle.UnixFSv1)
		n[1].put(c)
		if err := n[0].get(c.root, n[0].dial(n[1])).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept := n[0].x.server.balances()
		n[0].x.Close()
		again := newNode(t, n[0].h, Config{Balances: kept})
		if got := again.x.Balance(n[1].h.ID()); got.Received != 1<<20 || got.Sent != 0 {
			t.Errorf("%+v", got)
		}
		again.dial(n[1])
		synctest.Wait()
		for _, l := range again.x.server.lanes {
			if b := l.uploads.Ledger().Balance(ledgerKey(n[1])); b.Received != 1<<20 {
				t.Errorf("the ledger has %+v", b)
			}
		}
	})
}

// The owner leaves while a frame is being filled, with a piece or with nothing:
// the rest of the frame is read and dropped, the peer sends nothing more, and
// the session goes on.
func TestOwnerLeavesMidFrame(t *testing.T) {
	for name, holds := range map[string]bool{"with a piece": true, "with nothing": false} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
				c := makeContent(t, 27, 8<<20, merkle.UnixFSv1)
				n[1].put(c)
				s := n[0].dial(n[1])
				r, events := n[0].open(c.root)
				if holds {
					r.Hold(c.held(0))
				}
				r.Join(s)
				await[Haves](t, events)
				leaveMidFrame(t, r, events, s, n[1])
				if (len(n[0].x.roots) > 0) != holds || (len(n[1].x.roots) > 0) != holds {
					t.Errorf("%d and %d roots are left", len(n[0].x.roots), len(n[1].x.roots))
				}
				if err := n[0].get(c.root, s).run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func leaveMidFrame(t *testing.T, r *Root, events chan Event, s *Session, from *node) {
	t.Helper()
	var asks []Ask
	for i := range 8 {
		asks = append(asks, Ask{Piece: i, Count: 16, Size: 1 << 20})
	}
	r.Request(s, asks)
	await[Arrived](t, events)
	r.Close()
	if len(s.pending) > 0 {
		t.Errorf("%d pieces pending", len(s.pending))
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	for _, l := range from.x.server.lanes {
		for key := range l.queues {
			if waits := l.uploads.Waiting(key); waits > 0 || l.slots != 4 {
				t.Errorf("%d requests still wait, %d slots are free", waits, l.slots)
			}
		}
	}
	if got, _ := s.Amounts(); got >= 8<<20 {
		t.Errorf("all %d bytes came although nobody wanted them", got)
	}
}

// A piece that is cancelled while it comes is read to the end of its frame and
// Wasted, and the next one comes as if nothing had been.
func TestCancelMidFrame(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 28, 2<<20, merkle.UnixFSv1)
		n[1].put(c)
		s := n[0].dial(n[1])
		r, events := n[0].open(c.root)
		r.Join(s)
		await[Haves](t, events)
		r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}, {Piece: 1, Count: 16, Size: 1 << 20}})
		first := await[Arrived](t, events).Piece // two frames are made ready at once
		r.Cancel(s, first)
		if w := await[Wasted](t, events); w.Bytes > 1<<20 {
			t.Errorf("%d bytes wasted", w.Bytes)
		}
		if got := await[Received](t, events); got.Piece != 1-first {
			t.Errorf("piece %d came", got.Piece)
		}
	})
}

// Whoever joins with a session that has ended hears that it is gone.
func TestJoinTooLate(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 28, 1<<20, merkle.UnixFSv1)
		s := n[0].dial(n[1])
		n[1].x.Close()
		<-s.Done()
		r, events := n[0].open(c.root)
		r.Join(s)
		if g := await[Gone](t, events); g.From != s || g.Err == nil {
			t.Errorf("%+v", g)
		}
		r.Request(s, []Ask{{Piece: 0, Count: 16, Size: 1 << 20}})
		r.AskTree(s, c.root, 0, 0)
		r.Cancel(s, 0)
		r.Bad(s, 0)
		r.Close()
		n[0].x.Close()
		if _, err := n[0].x.Session(t.Context(), testnet.Info(n[1].h)); err == nil {
			t.Error("a session after Close")
		}
	})
}
