package exchange

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/merkle"
)

// mixer is an owner of a root that connects to whomever it is told of, at once.
type mixer struct {
	n      *node
	root   *Root
	events chan Event

	mu   sync.Mutex
	open map[peer.ID]time.Duration // who answered, and how long after the start
	told int
}

func mix(ctx context.Context, all *sync.WaitGroup, n *node, c content, first peer.AddrInfo) *mixer {
	m := &mixer{n: n, open: map[peer.ID]time.Duration{}}
	m.root, m.events = n.open(c.root)
	start := time.Now()
	dialled := map[peer.ID]bool{}
	dial := func(info peer.AddrInfo) {
		if dialled[info.ID] {
			return
		}
		dialled[info.ID] = true
		all.Go(func() {
			if s, err := n.x.Session(ctx, info); err == nil {
				m.root.Join(s)
			}
		})
	}
	all.Go(func() {
		dial(first)
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-m.events:
				switch ev := ev.(type) {
				case Met:
					m.mu.Lock()
					m.told += len(ev.Peers)
					m.mu.Unlock()
					for _, info := range ev.Peers {
						dial(info)
					}
				case Opened:
					m.mu.Lock()
					if _, ok := m.open[ev.From.Peer]; !ok && !ev.Missing {
						m.open[ev.From.Peer] = time.Since(start)
					}
					m.mu.Unlock()
				}
			}
		}
	})
	return m
}

// Downloaders that know only the holder know one another within 0.3 s.
func TestFullMesh(t *testing.T) {
	t.Parallel()
	for _, crowd := range []int{2, 16} {
		synctest.Test(t, func(t *testing.T) {
			hosts := testnet.New(t, crowd+1, testnet.Config{})
			c := makeContent(t, 60, 4<<20, merkle.UnixFSv1)
			holder := newNode(t, hosts[0], Config{})
			holder.put(c)
			ctx, stop := context.WithCancel(t.Context())
			var all sync.WaitGroup
			var mixers []*mixer
			for _, h := range hosts[1:] {
				mixers = append(mixers, mix(ctx, &all, newNode(t, h, Config{}), c, testnet.Info(hosts[0])))
			}
			time.Sleep(300 * time.Millisecond)
			var last time.Duration
			for i, m := range mixers {
				m.mu.Lock()
				if len(m.open) != crowd {
					t.Errorf("%d: %d knows %d of %d after 0.3 s", crowd, i, len(m.open), crowd)
				}
				for _, d := range m.open {
					last = max(last, d)
				}
				m.mu.Unlock()
			}
			t.Logf("%d downloaders: a full mesh after %v", crowd, last)
			stop()
			all.Wait()
		})
	}
}

// Who was there before is told of who came since, within seconds; nobody is told
// of those who have left, or twice.
func TestNews(t *testing.T) {
	inVirtualTime(t, 5, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 61, 3<<20, merkle.UnixFSv1)
		n[0].put(c)
		r1, e1 := n[1].open(c.root)
		r1.Join(n[1].dial(n[0]))
		join := func(i int) *Session {
			r, events := n[i].open(c.root)
			go func() { // read, and let be
				for {
					select {
					case <-events:
					case <-t.Context().Done():
						return
					}
				}
			}()
			s := n[i].dial(n[0])
			r.Join(s)
			return s
		}
		join(2)
		join(3).end(ErrClosed)
		time.Sleep(6 * time.Second)
		if met := drainMet(e1); !slices.Equal(met, []peer.ID{n[2].h.ID()}) {
			t.Errorf("told of %v", met)
		}
		time.Sleep(time.Minute)
		join(4)
		time.Sleep(10 * time.Second)
		if met := drainMet(e1); len(met) > 0 {
			t.Errorf("told of %v so soon after a minute", met)
		}
		time.Sleep(time.Minute)
		if met := drainMet(e1); !slices.Equal(met, []peer.ID{n[4].h.ID()}) {
			t.Errorf("told of %v", met)
		}
	})
}

func drainMet(events <-chan Event) (ids []peer.ID) {
	for {
		select {
		case ev := <-events:
			if met, ok := ev.(Met); ok {
				for _, p := range met.Peers {
					ids = append(ids, p.ID)
				}
			}
		default:
			return ids
		}
	}
}

// A peer that names many others, or others than those who signed, is not believed.
func TestRecordsAreBounded(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 62, 10, merkle.UnixFSv1)
		n[1].put(c)
		r, events := n[0].open(c.root)
		s := n[0].dial(n[1])
		r.Join(s)
		await[Opened](t, events)
		until(t, "the record", func() bool { return n[0].x.record(n[1].h.ID()) != nil })
		good := strangersRecord(t)
		bad := slices.Clone(good)
		bad[len(bad)-1] ^= 1
		tell := func(record []byte, times int) {
			var handle uint32
			for h := range s.theirs {
				handle = h
			}
			records := make([][]byte, times)
			for i := range records {
				records[i] = record
			}
			if err := s.onPeers(&pb.Peers{Handle: handle, Records: records}); err != nil {
				t.Fatal(err)
			}
		}
		tell(bad, 1)
		if met := drainMet(events); len(met) > 0 {
			t.Errorf("a forged record: %v", met)
		}
		s.members[r].tellFrom = time.Time{}
		tell(n[0].x.record(n[1].h.ID()), 1)
		if met := drainMet(events); len(met) > 0 {
			t.Errorf("who is a peer already: %v", met)
		}
		for range 10 {
			tell(good, maxPeers)
		}
		if met := drainMet(events); len(met) != mostTold-1 {
			t.Errorf("%d records taken, want %d", len(met), mostTold-1)
		}
		time.Sleep(10 * time.Second)
		tell(good, maxPeers)
		if met := drainMet(events); len(met) != 10 {
			t.Errorf("%d records taken after 10 s", len(met))
		}
	})
}

// A connection that carries pieces is kept from being trimmed, and no longer
// than it does.
func TestTransfersAreProtected(t *testing.T) {
	inVirtualTime(t, 2, Config{}, func(t *testing.T, n []*node) {
		c := makeContent(t, 63, 2<<20, merkle.UnixFSv1)
		n[1].put(c)
		s := n[0].dial(n[1])
		time.Sleep(6 * time.Second)
		kept := func() [2]bool {
			a, b := n[0].h, n[1].h
			return [2]bool{a.ConnManager().IsProtected(b.ID(), protection), b.ConnManager().IsProtected(a.ID(), protection)}
		}
		if kept() != [2]bool{} {
			t.Error("an idle connection is protected")
		}
		if err := n[0].get(c.root, s).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		if kept() != [2]bool{true, true} {
			t.Errorf("protected: %v", kept())
		}
		time.Sleep(40 * time.Second)
		if kept() != [2]bool{} {
			t.Error("protected for ever")
		}
	})
}

// strangersRecord is the signed record of somebody who is not here.
func strangersRecord(t *testing.T) []byte {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	info := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/11.0.0.9/tcp/7461")}}
	env, err := record.Seal(peer.PeerRecordFromAddrInfo(info), key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := env.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// told is of how many peers a peer is told until nothing comes for so long.
func (p *rawPeer) told(quiet time.Duration) (n int) {
	for {
		p.st.SetReadDeadline(time.Now().Add(quiet))
		var buf []byte
		m, err := readMessage(p.r, &buf, func() int { return maxReply })
		if err != nil {
			return n
		}
		n += len(m.GetPeers().GetRecords())
	}
}

// Who knows many peers, or has told of them, or has all, is told of few or none.
func TestToldOfWhomItNeeds(t *testing.T) {
	rawInVirtualTime(t, 9, Config{}, func(t *testing.T, n *node, p []*rawPeer) {
		c := makeContent(t, 64, 3<<20, merkle.UnixFSv1)
		n.put(c)
		open := func(p *rawPeer, known uint32) {
			p.greet(uint64(known + 1))
			until(t, "the record", func() bool { return n.x.record(p.h.ID()) != nil })
			p.say(knowing(openMessage(1, c.root, len(c.pieces), true), known))
		}
		for i, q := range p[:5] {
			open(q, 0)
			if got := q.told(100 * time.Millisecond); got != i {
				t.Errorf("peer %d, who knows nobody, is told of %d", i, got)
			}
		}
		for i, want := range []int{leastTold, 4} { // of 5 and of 6
			open(p[5+i], uint32(50-48*i))
			if got := p[5+i].told(100 * time.Millisecond); got != want {
				t.Errorf("who knows %d is told of %d, want %d", 50-48*i, got, want)
			}
		}
		p[0].say(haveMessage(1, true, nil))
		s := n.x.session(p[1].h.ID())
		var r *Root
		for r = range s.members {
		}
		r.hear(s, [][]byte{n.x.record(p[2].h.ID()), n.x.record(p[3].h.ID()), n.x.record(p[4].h.ID()), n.x.record(p[5].h.ID())})
		for i, want := range []int{0, 1, 4} { // of 6, 5 and 4 that came since
			if got := p[i].told(6 * time.Second); got != want {
				t.Errorf("peer %d is told of %d newcomers, want %d", i, got, want)
			}
		}
	})
}
