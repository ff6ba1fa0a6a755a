package node

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/shoal-p2p/shoal/internal/testnet"
)

// place is a network in virtual time with whole nodes on it.
type place struct {
	lines *testnet.Net
	nodes []*Node
}

// add starts a node that joins the swarm by way of another.
func (p *place) add(t *testing.T, through ...*Node) *Node {
	t.Helper()
	i := len(p.nodes)
	cfg := Config{
		Dir: t.TempDir(), Listen: []string{testnet.Address(i)}, MDNS: "off", PortMap: "off",
		Upload: "unlimited", Version: "test", more: p.lines.Options(),
	}
	key, err := crypto.MarshalPrivateKey(testnet.Key(t, i))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "identity.key"), key, 0o600))
	for _, n := range through {
		cfg.Bootstrap = append(cfg.Bootstrap, n.Addrs()[0])
	}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start node %d: %v", i, err)
	}
	t.Cleanup(func() { must(t, n.Close()) })
	p.nodes = append(p.nodes, n)
	return n
}

// Many whole nodes that know one of the swarm, and not who holds the content, find
// him and each other by the DHT and fetch it all at once. SHOAL_TESTNET is how many
// nodes; what they cost grows with the square: 8 take 2 s of a core, 30 take 22 s, 60 take 95 s.
func TestManyNodes(t *testing.T) {
	t.Parallel()
	crowd := 8
	if s := os.Getenv("SHOAL_TESTNET"); s != "" {
		n, err := strconv.Atoi(s)
		must(t, err)
		crowd = n
	} else if testing.Short() {
		t.Skip("costs 2 s of a core")
	}
	synctest.Test(t, func(t *testing.T) { manyNodes(t, crowd) })
}

func manyNodes(t *testing.T, crowd int) {
	p := &place{lines: testnet.Lines(t, testnet.Config{Mbit: 20})}
	hub := p.add(t)
	holder := p.add(t, hub)
	data := noise(180, 4*mib)
	target := share(t, holder, put(t, "data.bin", data), AddOptions{})
	for len(p.nodes) < crowd {
		p.add(t, hub)
	}
	time.Sleep(3 * time.Second) // it is announced, and all have joined
	var ends []func() (*Result, error)
	for _, n := range p.nodes[2:] {
		ends = append(ends, begin(t, n, target, FetchOptions{Deadline: 5 * time.Minute}))
	}
	var last float64
	var twice, sent int64
	for i, end := range ends {
		r, err := end()
		if err != nil {
			t.Fatalf("node %d: %v", i+2, err)
		}
		checkFile(t, r, data)
		if r.From.WAN.Bytes != r.Size {
			t.Errorf("node %d has %+v; want all from peers", i+2, r.From)
		}
		last = max(last, r.Seconds)
		twice += r.Duplicate
		sent += r.Sent
	}
	all := float64(len(ends) * len(data))
	copies, dup := (all-float64(sent))/float64(len(data)), float64(twice)/all
	t.Logf("%d nodes: the last after %.2f s, %.2f copies from the holder, %.1f%% came twice", crowd, last, copies, 100*dup)
	if bound := float64(len(data)) * 8 / 20e6; last < bound || last > 10*bound {
		t.Errorf("the last took %.2f s; a copy takes the holder %.2f s", last, bound)
	}
	if most := max(3, 0.5*float64(len(ends))); copies > most {
		t.Errorf("the holder sent %.2f copies; want at most %.1f", copies, most)
	}
	if dup > 0.15 {
		t.Errorf("%.1f%% of the bytes came twice", 100*dup)
	}
}
