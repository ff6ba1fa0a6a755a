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
	const crowd = 5
	classes := []struct {
		name  string
		class policy.Class
		after time.Duration
		size  int
		limit float64 // copies
	}{
		{"interactive", policy.Interactive, 0, 24 * mib, 3}, // the start alone costs 8 MiB a node
		{"background", policy.Background, time.Second, 8 * mib, 2},
	}
	for i, tt := range classes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := noise(uint64(170+i), tt.size)
			target, tree := hash(t, put(t, "data.bin", data), AddOptions{})
			o, url := origin(t, "data.bin", data, tree)
			hub := start(t)
			var all sync.WaitGroup
			for range crowd {
				n := start(t, through(hub), func(c *Config) { c.Upload, c.Download = "8MB/s", "8MB/s" })
				wait := begin(t, n, target, FetchOptions{Origins: []string{url}, Class: tt.class, OriginAfter: tt.after})
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
			if copies > tt.limit {
				t.Errorf("the origin sent %.2f copies for %d nodes; want at most %.0f", copies, crowd, tt.limit)
			}
		})
	}
}
