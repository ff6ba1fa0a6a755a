package node

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/shoal-p2p/shoal/exchange"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/reach"
)

// twisted is a host whose streams are twisted: what an honest exchange says
// through it comes out as twist makes it.
type twisted struct {
	host.Host
	twist func(network.Stream) network.Stream
}

func (h twisted) NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error) {
	st, err := h.Host.NewStream(ctx, p, pids...)
	if err != nil {
		return nil, err
	}
	return h.twist(st), nil
}

func (h twisted) SetStreamHandler(pid protocol.ID, f network.StreamHandler) {
	h.Host.SetStreamHandler(pid, func(st network.Stream) { f(h.twist(st)) })
}

// liar is a stream on which some writes are replaced. The first write of a data
// stream names the session; then a header and its bytes take turns.
type liar struct {
	network.Stream
	say func(st network.Stream, n int, b []byte) (int, error)
	n   int
}

func (l *liar) Write(b []byte) (int, error) {
	l.n++
	if l.n == 1 {
		return l.Stream.Write(b)
	}
	return l.say(l.Stream, l.n, b)
}

// onData twists data streams alone, onControl control streams alone.
func onData(say func(st network.Stream, n int, b []byte) (int, error)) func(network.Stream) network.Stream {
	return func(st network.Stream) network.Stream {
		if !strings.Contains(string(st.Protocol()), "data") {
			return st
		}
		return &liar{Stream: st, say: say}
	}
}

func onControl(say func(st network.Stream, n int, b []byte) (int, error)) func(network.Stream) network.Stream {
	return func(st network.Stream) network.Stream {
		if strings.Contains(string(st.Protocol()), "data") {
			return st
		}
		return &liar{Stream: st, say: say}
	}
}

var errLiar = errors.New("enough of this peer")

// lies are the ways in which a peer can be hostile at the level of streams.
var lies = map[string]func(network.Stream) network.Stream{
	"a byte short": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 1 {
			_, err := st.Write(b[:len(b)-1])
			return len(b), err
		}
		return st.Write(b)
	}),
	"a byte more": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 1 {
			b = append(slices.Clone(b), 0)
		}
		m, err := st.Write(b)
		return m - n%2, err
	}),
	"random headers": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 0 {
			b = slices.Clone(b)
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
		}
		return st.Write(b)
	}),
	"everything twice": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if _, err := st.Write(b); err != nil {
			return 0, err
		}
		return st.Write(b)
	}),
	"a flood of frames": onData(func(st network.Stream, _ int, b []byte) (int, error) {
		for range 10_000 {
			if _, err := st.Write(b); err != nil {
				return 0, err
			}
		}
		return len(b), nil
	}),
	"reset in the middle": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 0 {
			return st.Write(b)
		}
		_, err := st.Write(b[:len(b)/2])
		return 0, errors.Join(err, st.Reset(), errLiar)
	}),
	"end in the middle": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 0 {
			return st.Write(b)
		}
		_, err := st.Write(b[:len(b)/2])
		return 0, errors.Join(err, st.CloseWrite(), errLiar)
	}),
	"stall in the middle": onData(func(st network.Stream, n int, b []byte) (int, error) {
		if n%2 == 0 || n < 5 {
			return st.Write(b)
		}
		_, err := st.Write(b[:len(b)/2])
		return len(b), err // and what follows is taken for the rest
	}),
	"a flood of messages": onControl(func(st network.Stream, n int, b []byte) (int, error) {
		for range min(1000, 1<<20/len(b)) {
			if _, err := st.Write(b); err != nil {
				return 0, err
			}
		}
		return len(b), nil
	}),
	"noise for messages": onControl(func(st network.Stream, n int, b []byte) (int, error) {
		if n < 4 {
			return st.Write(b)
		}
		for nonsense := noise(181, 64<<10); ; {
			if _, err := st.Write(nonsense); err != nil {
				return 0, err
			}
		}
	}),
}

// mute has everything and sends nothing.
type mute struct{ exchange.Library }

func (mute) ReadPiece(ctx context.Context, _ merkle.Key, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// twistedPeer runs a peer that serves lib through twist.
func twistedPeer(t *testing.T, lib exchange.Library, limit exchange.Limit, twist func(network.Stream) network.Stream) (peer.ID, string) {
	t.Helper()
	key, err := identity(t.TempDir())
	must(t, err)
	h, err := hostOn(Config{PortMap: "off"}, key, nil, reach.New(reach.Config{}), []string{"/ip4/127.0.0.1/tcp/0"})
	must(t, err)
	x := exchange.New(twisted{h, twist}, exchange.Config{Library: lib, Upload: limit})
	t.Cleanup(func() {
		must(t, h.Close()) // first: a liar may be in the middle of a write
		must(t, x.Close())
	})
	return h.ID(), h.Addrs()[0].String() + "/p2p/" + h.ID().String()
}

// idle is what a process has at rest.
type idle struct {
	goroutines, files int
	heap              uint64
}

func atRest(t *testing.T) idle {
	t.Helper()
	runtime.GC()
	runtime.GC() // the second empties what pools kept over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	i := idle{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		i.files = len(fds)
	}
	return i
}

// TestTwentyLiars: one good provider among twenty hostile ones is enough. No
// wrong byte reaches the disk, whoever sent wrong pieces is gone for good, and
// afterwards the node has no more goroutines, descriptors and memory than
// before. It runs alone, so that all of these are its own.
func TestTwentyLiars(t *testing.T) {
	data := noise(180, 12*mib)
	a, b := start(t, upload("8MB/s")), start(t)                                                    // slow, so that all are asked
	target := share(t, a, put(t, "data.bin", data), AddOptions{Profile: merkle.UnixFSv0.Name()})   // more pieces
	mustGet(t, b, share(t, a, put(t, "small.bin", data[:100]), AddOptions{}), from(a), data[:100]) // warm
	before := atRest(t)
	t.Run("fetch", func(t *testing.T) {
		opt := from(a)
		honest := (*library)(a)
		names := map[peer.ID]string{}
		join := func(name string, lib exchange.Library, twist func(network.Stream) network.Stream) {
			limit := exchange.Limit{} // wrong pieces come fastest
			if _, mixed := lies[name]; mixed {
				limit = exchange.Limit{Rate: mib, LAN: true}
			}
			id, addr := twistedPeer(t, lib, limit, twist)
			names[id] = name
			opt.Peers = append(opt.Peers, addr)
		}
		straight := func(st network.Stream) network.Stream { return st }
		for name, twist := range lies {
			join(name, honest, twist)
		}
		for range 5 {
			join("wrong bytes", forger{honest}, straight)
		}
		for range 2 {
			join("wrong tree", treeForger{honest}, straight)
		}
		for range 3 {
			join("nothing", mute{honest}, straight)
		}
		if len(names) != 20 {
			t.Fatalf("%d liars", len(names))
		}
		opt.Output = filepath.Join(t.TempDir(), "got")
		opt.Deadline = 2 * time.Minute // the race detector makes the floods slow
		var looked int64
		opt.Progress = func(p Progress) {
			if p.Have > looked+mib {
				looked = p.Have
				checkPartial(t, opt.Output, data)
			}
		}
		r := mustGet(t, b, target, opt, data)
		t.Logf("%.1f s, %d bytes rejected, %d came twice, from %+v", r.Seconds, r.Rejected, r.Duplicate, r.From)
		for _, l := range r.Liars {
			id, _, _ := strings.Cut(l, ":")
			p, err := peer.Decode(id)
			must(t, err)
			t.Logf("%s: %s", names[p], l)
			if p == a.self {
				t.Error("the good provider is taken for a liar")
			}
		}
		checkBanned(t, b, r, names)
	})
	soon(t, "all is at rest again", func() bool {
		after := atRest(t)
		ok := after.goroutines <= before.goroutines+8 && after.files <= before.files+4 && after.heap <= before.heap+32<<20
		if ok {
			t.Logf("before %+v, after %+v", before, after)
		}
		return ok
	})
}

// checkBanned makes sure that some peers were banned for wrong bytes, and that
// they get no session again.
func checkBanned(t *testing.T, b *Node, r *Result, names map[peer.ID]string) {
	t.Helper()
	banned := 0
	for p, name := range names {
		if b.bans.has(time.Now(), p) {
			banned++
			t.Logf("banned: %s", name)
		}
	}
	if banned == 0 || r.Rejected == 0 {
		t.Errorf("%d are banned, %d bytes were rejected", banned, r.Rejected)
	}
	// They come back in vain, and are not asked for anything else.
	for p := range names {
		if b.bans.has(time.Now(), p) {
			_, _ = b.exchange.Session(t.Context(), b.host.Peerstore().PeerInfo(p)) // it ends at once, or soon
		}
	}
	soon(t, "no banned peer has a session", func() bool {
		return !slices.ContainsFunc(b.exchange.Sessions(), func(s *exchange.Session) bool { return b.bans.has(time.Now(), s.Peer) })
	})
}

// checkPartial makes sure that what is on disk of a file being fetched is of it:
// each byte is the right one, or not written yet.
func checkPartial(t *testing.T, output string, data []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(filepath.Dir(output), "."+filepath.Base(output)+".shoal-partial"))
	if err != nil {
		return // not begun, or done
	}
	if len(got) != len(data) {
		t.Errorf("%d bytes on disk of %d", len(got), len(data))
		return
	}
	for at := 0; at < len(data); at += 4096 {
		g, w := got[at:min(len(got), at+4096)], data[at:min(len(got), at+4096)]
		if bytes.Equal(g, w) {
			continue
		}
		for i := range g {
			if g[i] != w[i] && g[i] != 0 {
				t.Errorf("a wrong byte is on disk at %d", at+i)
				return
			}
		}
	}
}
