package node

import (
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
)

// Five nodes that start together cost the origin little more than one copy: the
// log has the figure, the limit is what a slow machine may make of it.
func TestFlashCrowd(t *testing.T) {
	t.Parallel()
	const crowd, limit = 5, 2.0
	data := noise(170, 12*mib)
	target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
	o, url := origin(t, "data.bin", data, tree)
	hub := start(t)
	var all sync.WaitGroup
	for range crowd {
		n := start(t, through(hub), func(c *Config) { c.Upload, c.Download = "8MB/s", "8MB/s" })
		wait := begin(t, n, target, FetchOptions{
			Origins: []string{url}, Class: policy.Background, OriginAfter: 2 * time.Second,
		})
		all.Go(func() {
			r, err := wait()
			if err != nil {
				t.Error(err)
				return
			}
			checkFile(t, r, data)
			t.Logf("%.1f s, from %+v, reasons %v", r.Seconds, r.From, r.OriginReasons)
		})
	}
	all.Wait()
	copies := float64(o.Served()) / float64(len(data))
	t.Logf("the origin sent %.2f copies for %d nodes", copies, crowd)
	if copies > limit {
		t.Errorf("the origin sent %.2f copies for %d nodes; want at most %.0f", copies, crowd, limit)
	}
}
