package sim

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/exchange/pick"
)

const mbit = 1e6 / 8

// crowd is a holder and n downloaders; rates are in Mbit/s.
func crowd(n, pieces int, us, up, down float64) Config {
	peers := []Peer{{Up: us * mbit, Down: down * mbit, Holder: true, Stay: -1}}
	for range n {
		peers = append(peers, Peer{Up: up * mbit, Down: down * mbit, Stay: -1})
	}
	return Config{Peers: peers, Pieces: pieces, Seed: 1, Path: pick.WAN}
}

// No run is faster than what the lines allow, and none is far from it.
func TestBound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n, pieces      int
		us, up, down   float64
		view           int
		last, overhead float64
	}{
		{n: 1, pieces: 32, us: 20, up: 20, down: 20, last: 1.05},
		{n: 1, pieces: 32, us: 20, up: 20, down: 20, last: 1.05, overhead: 1.05},
		{n: 1, pieces: 32, us: 100, up: 20, down: 10, last: 1.05},
		{n: 4, pieces: 16, us: 100, up: 50, down: 200, last: 3},
		{n: 8, pieces: 32, us: 20, up: 20, down: 20, last: 3},
		{n: 16, pieces: 32, us: 50, up: 25, down: 100, last: 3},
		{n: 60, pieces: 32, us: 50, up: 25, down: 100, view: 20, last: 3},
	} {
		t.Run(fmt.Sprintf("N=%d/M=%d/%v/%v/%v", tt.n, tt.pieces, tt.us, tt.up, tt.down), func(t *testing.T) {
			t.Parallel()
			cfg := crowd(tt.n, tt.pieces, tt.us, tt.up, tt.down)
			cfg.View, cfg.Overhead = tt.view, tt.overhead
			r := New(cfg).Run()
			if r.Missing > 0 || len(r.Times) != tt.n {
				t.Fatalf("%d finished, %d did not", len(r.Times), r.Missing)
			}
			if ratio := r.Ratio(r.Last()); ratio < 1 || ratio > tt.last {
				t.Errorf("the last took %.3f of the bound; want 1 to %v", ratio, tt.last)
			}
			if first := r.Ratio(r.Times[0]); tt.n == 1 && first < 1 {
				t.Errorf("the first took %.3f of the bound", first)
			}
		})
	}
}

// A run is the same again.
func TestSame(t *testing.T) {
	t.Parallel()
	cfg := crowd(12, 24, 50, 25, 100)
	cfg.View = 8
	a, b := New(cfg).Run(), New(cfg).Run()
	if !reflect.DeepEqual(a, b) {
		t.Errorf("two runs differ:\n%+v\n%+v", a, b)
	}
	cfg.Cores = 3
	b = New(cfg).Run()
	if b.Steps = a.Steps; !reflect.DeepEqual(a, b) { // news for many costs an event a share
		t.Errorf("on three cores:\n%+v\n%+v", a, b)
	}
	cfg.Seed, cfg.Cores = 2, 0
	if b := New(cfg).Run(); reflect.DeepEqual(a, b) {
		t.Error("another seed changes nothing")
	}
}

// A peer that leaves takes nothing with it that others need, once it was sent.
func TestLeave(t *testing.T) {
	t.Parallel()
	cfg := crowd(8, 16, 50, 25, 100)
	for i := 1; i <= 4; i++ {
		cfg.Peers[i].Stay = 0
		cfg.Peers[i].Arrives = time.Duration(i) * time.Second
	}
	if r := New(cfg).Run(); r.Missing > 0 {
		t.Errorf("%d did not finish", r.Missing)
	}
}

// A crowd that has nobody but an origin costs it little more than a copy, and all
// finish.
func TestOrigin(t *testing.T) {
	t.Parallel()
	cfg := crowd(8, 64, 0, 25, 100)
	cfg.Peers = cfg.Peers[1:]
	cfg.Origin = &Origin{Up: 50 * mbit, Config: policy.Config{Class: policy.Economy}}
	r := New(cfg).Run()
	if r.Missing > 0 || r.Origin < 1 || r.Origin > 2 || r.Ratio(r.Last()) < 1 {
		t.Errorf("%d did not finish, %.2f copies, %.2f of the bound", r.Missing, r.Origin, r.Ratio(r.Last()))
	}
}

// Who gives nothing takes far longer than those who give, whatever it tries, and
// costs them little.
func TestRide(t *testing.T) {
	t.Parallel()
	alone := New(rides(Peer{})).Run().Median()
	for name, ride := range map[string]Peer{
		"passive": {Claims: true}, "dialler": {Grabs: true, Dials: true, Claims: true},
		"turncoat": {Grabs: true, Dials: true, Claims: true, Renames: 4 * time.Second}, "silent": {Grabs: true, Dials: true}, "liar": {Grabs: true, Dials: true, Lies: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ride.Rides = true
			r := New(rides(ride)).Run()
			if r.Missing > 0 || r.Ride() < 2 || r.Median() > alone*28/25 || r.Last() > alone*6/5 {
				t.Errorf("%d did not finish; riders took %.2f of the time of others, these %.2f of theirs alone, the last %.2f",
					r.Missing, r.Ride(), r.Median().Seconds()/alone.Seconds(), r.Last().Seconds()/alone.Seconds())
			}
		})
	}
}

// rides is a crowd that leaves when it is done, with four riders of a kind, if they are.
func rides(ride Peer) Config {
	cfg := crowd(16, 64, 50, 25, 100)
	for i := range cfg.Peers[1:] {
		cfg.Peers[1+i].Stay = 0
	}
	if ride.Up, ride.Down = 25*mbit, 100*mbit; ride.Rides {
		cfg.Peers = append(cfg.Peers, ride, ride, ride, ride)
	}
	cfg.Limit = 10 * time.Minute
	return cfg
}

// Half of a crowd leaves half-way, and the holder after less than two copies:
// everybody who stays completes, but in a run in three at most, in which a piece went
// with those who alone had it.
func TestChurn(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(8) {
		cfg := crowd(30, 32, 50, 25, 100)
		cfg.Seed, cfg.View, cfg.Limit = seed, 12, 2*time.Minute
		cfg.Peers[0].Leaves = 9 * time.Second
		for i := 1; i <= 15; i++ {
			cfg.Peers[i].Leaves = 6*time.Second + time.Duration(i)*400*time.Millisecond
		}
		if r := New(cfg).Run(); r.Missing > r.Left {
			lost++
		}
	}
	if lost > 3 {
		t.Errorf("those who stayed did not finish in %d of 8 runs", lost)
	}
}

// BenchmarkCrowd is one run; the metrics are ratios to the bound.
func BenchmarkCrowd(b *testing.B) {
	for _, tt := range []struct{ n, pieces, view, unit int }{{16, 64, 0, 1}, {1000, 1024, 40, 4}, {10000, 256, 40, 16}} {
		b.Run(fmt.Sprintf("N=%d/M=%d", tt.n, tt.pieces), func(b *testing.B) {
			for b.Loop() {
				cfg := crowd(tt.n, tt.pieces, 50, 25, 100)
				cfg.View, cfg.Unit = tt.view, tt.unit
				r := New(cfg).Run()
				b.ReportMetric(r.Ratio(r.Median()), "median/bound")
				b.ReportMetric(r.Ratio(r.P99()), "p99/bound")
				b.ReportMetric(r.Ratio(r.Last()), "last/bound")
				b.ReportMetric(r.Copies, "copies")
			}
		})
	}
}
