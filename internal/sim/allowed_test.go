package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// What the lines allow those who come one after the other.
func TestAllowed(t *testing.T) {
	t.Parallel()
	const mib10 = 10 * 8 * (1 << 20) / 1e6 // Mbit
	s := func(n float64) time.Duration { return seconds(n) }
	for _, tt := range []struct {
		name    string
		up      float64
		stay    time.Duration
		arrive  []time.Duration
		allowed float64 // seconds
	}{
		{"one alone", 25, -1, []time.Duration{0}, mib10 / 50},
		{"two at once", 25, -1, []time.Duration{0, 0}, mib10 / 50},
		{"one after the other", 25, 0, []time.Duration{0, s(100)}, mib10 / 50},
		{"from who stays", 25, -1, []time.Duration{0, s(100)}, mib10/50/2 + mib10/75/2},
		{"as fast as it can receive", 500, -1, []time.Duration{0, s(100)}, mib10/50/2 + mib10/100/2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := crowd(len(tt.arrive), 10, 50, tt.up, 100)
			for i, at := range tt.arrive {
				cfg.Peers[1+i].Arrives, cfg.Peers[1+i].Stay = at, tt.stay
			}
			got := New(cfg).allowed().Seconds()
			if got < tt.allowed*0.999 || got > tt.allowed*1.001 {
				t.Errorf("%.3f s, want %.3f", got, tt.allowed)
			}
		})
	}
}

// Among equals it costs a crowd little that who is done leaves.
func TestArrivals(t *testing.T) {
	t.Parallel()
	run := func(stay time.Duration) Result {
		cfg, rng := crowd(16, 32, 20, 20, 20), rand.New(rand.NewPCG(1, 1))
		for i := range cfg.Peers[1:] {
			cfg.Peers[1+i].Arrives, cfg.Peers[1+i].Stay = time.Duration(rng.Float64()*float64(time.Minute)), stay
		}
		return New(cfg).Run()
	}
	stays, leaves := run(-1), run(0)
	if got := leaves.Mean().Seconds() / stays.Mean().Seconds(); got > 1.25 || stays.Mean() < stays.Allowed || leaves.Mean() < leaves.Allowed {
		t.Errorf("%v if they leave, %v if they stay; the lines allow %v and %v", leaves.Mean(), stays.Mean(), leaves.Allowed, stays.Allowed)
	}
}
