package node

import (
	"testing"
	"time"
)

// Who gave is served first the next time, also by a node that was started anew
// since: its download is done when a stranger, who asked before, has had at most
// two thirds of his, what was left over.
func TestCreditIsRemembered(t *testing.T) {
	// Not parallel: while the giver waits for a core the line is idle, and serves anybody.
	const size = 6 * mib
	mine, yours := noise(301, size), noise(302, size)
	dir := t.TempDir()
	in := func(c *Config) { c.Dir = dir }

	giver := start(t)
	first, err := Start(t.Context(), Config{
		Dir: dir, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MDNS: "off", PortMap: "off", Upload: "unlimited",
	})
	must(t, err)
	mustGet(t, first, share(t, giver, put(t, "yours.bin", yours), AddOptions{}), from(giver), yours)
	must(t, first.Close())

	again := start(t, in, upload("3MB/s"))
	target := share(t, again, put(t, "mine.bin", mine), AddOptions{})
	stranger := start(t, upload("off"))
	wait := begin(t, stranger, target, from(again))
	for len(again.peerStatus()) == 0 { // let him come first
		time.Sleep(time.Millisecond)
	}
	giver.cfg.Upload = "off" // the stranger is to get nothing from here
	mustGet(t, giver, target, from(again), mine)
	for _, p := range again.peerStatus() {
		t.Logf("%s: balance %d, sent %d, served for %q", p.ID, p.Balance, p.Sent, p.ServedFor)
		switch p.ID {
		case giver.ID():
			if p.ServedFor != "owed" || p.Received != size {
				t.Errorf("the giver was served for %q; it gave %d", p.ServedFor, p.Received)
			}
		case stranger.ID():
			if p.ServedFor == "owed" || p.Sent > size*2/3 {
				t.Errorf("the stranger got %d of %d bytes meanwhile, for %q", p.Sent, size, p.ServedFor)
			}
		}
	}
	if _, err := wait(); err != nil {
		t.Error(err)
	}
}
