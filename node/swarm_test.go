package node

import (
	"testing"
)

// C gets from A, which is slow, and from B, which is still fetching and slower.
func TestFetchFromOneThatStillFetches(t *testing.T) {
	t.Parallel()
	data := noise(20, 6*mib)
	a, b, c := start(t, upload("3MB/s")), start(t, func(cfg *Config) { cfg.Download = "1MB/s" }), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	some, hasSome := once()
	opt := from(a)
	opt.Progress = func(p Progress) {
		if p.Have >= 2*mib {
			hasSome()
		}
	}
	atB := begin(t, b, target, opt)
	<-some
	r := mustGet(t, c, target, from(a, b), data)
	if r.From.LAN.Peers != 2 {
		t.Errorf("from %+v; want two LAN peers", r.From)
	}
	fromA, fromB := c.exchange.Balance(a.self).Received, c.exchange.Balance(b.self).Received
	if fromA == 0 || fromB == 0 || fromA+fromB < r.Size {
		t.Errorf("C counts %d bytes of A and %d of B; want some of each and %d in all", fromA, fromB, r.Size)
	}
	if r.Rejected != 0 || len(r.Liars) != 0 {
		t.Errorf("%d bytes rejected, liars %v; want none", r.Rejected, r.Liars)
	}
	r, err := atB()
	must(t, err)
	checkFile(t, r, data)
}

// C meets B while B itself knows nothing but the name. When B meets A, C learns
// of A by B, and all three end with the content.
func TestFetchFromOneThatKnewNoTree(t *testing.T) {
	t.Parallel()
	data := noise(21, 2*mib)
	a, b, c := start(t), start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	atB := begin(t, b, target, FetchOptions{})
	asked, hasAsked := once()
	opt := from(b)
	opt.Progress = func(p Progress) {
		if p.Waiting == "waiting: 1 peer, none has sent the tree yet" {
			hasAsked()
		}
	}
	atC := begin(t, c, target, opt)
	<-asked
	b.joinThrough(infos(a))
	for _, wait := range []func() (*Result, error){atB, atC} {
		r, err := wait()
		must(t, err)
		checkFile(t, r, data)
	}
}
