package node

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
)

// way passes the bytes between a node and whoever dials it, until it freezes:
// then nothing moves, and nothing closes.
type way struct {
	addr   string        // with the /p2p/ID of the node at its end
	frozen chan struct{} // closed by freeze
}

// wayTo makes a way to n.
func wayTo(t *testing.T, n *Node) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	w := &way{addr: "/ip4/127.0.0.1/tcp/" + port + "/p2p/" + n.ID(), frozen: make(chan struct{})}
	part := strings.Split(n.Addrs()[0], "/") // "", ip4, address, tcp, port, …
	to := net.JoinHostPort(part[2], part[4])
	ctx := t.Context() // ends before the cleanup
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	context.AfterFunc(ctx, func() { l.Close() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			wg.Go(func() { w.pipe(ctx, in, out) })
			wg.Go(func() { w.pipe(ctx, out, in) })
		}
	})
	return w
}

func (w *way) pipe(ctx context.Context, from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-w.frozen:
			<-ctx.Done()
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The origin takes over when the only peer freezes in the middle.
func TestOriginAfterStall(t *testing.T) {
	t.Parallel()
	data := noise(90, 6*mib)
	path := put(t, "data.bin", data)
	a, b := start(t, upload("2MB/s")), start(t)
	target := share(t, a, path, AddOptions{})
	_, url := origin(t, "data.bin", data, nil)
	way := wayTo(t, a)
	freeze := sync.OnceFunc(func() { close(way.frozen) })
	opt := FetchOptions{
		Origins: []string{url}, Peers: []string{way.addr}, OriginAfter: 2 * time.Second,
		Progress: func(p Progress) {
			if p.From.LAN.Bytes >= 2*mib {
				freeze()
			}
		},
	}
	r := mustGet(t, b, target, opt, data)
	if r.From.LAN.Bytes == 0 || r.From.Origin.Bytes == 0 {
		t.Errorf("from %+v; want bytes of the peer and of the origin", r.From)
	}
}

// The origin takes over when the only peer closes in the middle.
func TestOriginAfterPeerLeaves(t *testing.T) {
	t.Parallel()
	data := noise(91, 6*mib)
	a, b := start(t, upload("2MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	_, url := origin(t, "data.bin", data, nil)
	some, hasSome := once()
	opt := from(a)
	opt.Origins, opt.Class, opt.OriginAfter = []string{url}, policy.Background, time.Second
	opt.Progress = func(p Progress) {
		if p.From.LAN.Bytes > 0 {
			hasSome()
		}
	}
	atB := begin(t, b, target, opt)
	<-some
	must(t, a.Close())
	r, err := atB()
	must(t, err)
	checkFile(t, r, data)
	if r.From.LAN.Bytes == 0 || r.From.Origin.Bytes == 0 {
		t.Errorf("from %+v; want bytes of the peer and of the origin", r.From)
	}
}

// An interactive fetch uses both at once.
func TestOriginAndPeer(t *testing.T) {
	t.Parallel()
	data := noise(92, 8*mib)
	path := put(t, "data.bin", data)
	a, b := start(t, upload("1MB/s")), start(t)
	target := share(t, a, path, AddOptions{})
	_, url := origin(t, "data.bin", data, nil)
	opt := from(a)
	opt.Origins = []string{url}
	r := mustGet(t, b, target, opt, data)
	if r.From.Origin.Bytes == 0 {
		t.Errorf("from %+v; want bytes of the origin, since the peer is slow", r.From)
	}
}

// Classes that yield leave the origin alone while a peer delivers.
func TestYieldingClasses(t *testing.T) {
	t.Parallel()
	for name, class := range map[string]policy.Class{"background": policy.Background, "economy": policy.Economy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := noise(93, 3*mib)
			path := put(t, "data.bin", data)
			_, tree := hash(t, path, AddOptions{})
			a, b := start(t, upload("1MB/s")), start(t) // an interactive fetch would not wait for it
			target := share(t, a, path, AddOptions{})
			o, url := origin(t, "data.bin", data, tree)
			opt := from(a)
			opt.Origins, opt.Class = []string{url}, class
			r := mustGet(t, b, target, opt, data)
			for _, q := range o.Requests() {
				if q.Path == "/data.bin" && q.Bytes > 0 {
					t.Errorf("the origin sent %d bytes", q.Bytes)
				}
			}
			if r.From.LAN.Bytes != r.Size {
				t.Errorf("from %+v; want all from the LAN", r.From)
			}
		})
	}
}

// With nobody else, every class ends at the origin.
func TestEveryClassEndsAtOrigin(t *testing.T) {
	t.Parallel()
	for name, class := range map[string]policy.Class{
		"interactive": policy.Interactive, "background": policy.Background, "economy": policy.Economy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := noise(94, 3*mib)
			target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
			o, url := origin(t, "data.bin", data, tree)
			opt := FetchOptions{Origins: []string{url}, Class: class, OriginAfter: 300 * time.Millisecond}
			r := mustGet(t, start(t), target, opt, data)
			checkOriginAlone(t, r, o.Served())
		})
	}
}
