package dht_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/shoal-p2p/shoal/dht"
	"github.com/shoal-p2p/shoal/dht/dhttest"
)

// batches is a router that remembers the batches it was given.
type batches struct {
	dht.Router
	joined chan struct{}

	mu    sync.Mutex
	err   error
	sizes []int
	times []time.Time
}

func (b *batches) Joined() <-chan struct{} { return b.joined }

func (b *batches) ProvideMany(ctx context.Context, keys []mh.Multihash) (dht.Cost, error) {
	b.mu.Lock()
	b.sizes, b.times = append(b.sizes, len(keys)), append(b.times, time.Now())
	err := b.err
	b.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	if err != nil {
		return dht.Cost{}, err
	}
	return b.Router.ProvideMany(ctx, keys)
}

func (b *batches) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// take returns the sizes of the batches since the last call.
func (b *batches) take() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	sizes := b.sizes
	b.sizes = nil
	return sizes
}

func (b *batches) want(t *testing.T, when string, sizes ...int) {
	t.Helper()
	got := b.take()
	if len(got) != len(sizes) {
		t.Fatalf("%s: batches of %v, want %v", when, got, sizes)
	}
	for i := range got {
		if got[i] != sizes[i] {
			t.Errorf("%s: batches of %v, want %v", when, got, sizes)
		}
	}
}

// keyList is what there is to announce; it may change.
type keyList struct{ atomic.Pointer[[]mh.Multihash] }

func newKeyList(keys []mh.Multihash) *keyList {
	l := new(keyList)
	l.Store(&keys)
	return l
}

func (l *keyList) all(yield func(mh.Multihash) bool) error {
	for _, key := range *l.Load() {
		if !yield(key) {
			return nil
		}
	}
	return nil
}

// sweeping is a router, another one of its swarm, and an announcer of n keys.
func sweeping(t *testing.T, n int, change func(*dht.AnnouncerConfig)) (*batches, dht.Router, *dht.Announcer, *keyList) {
	var reg dht.Registry
	b := &batches{Router: reg.Join(testPeer(t, 0)), joined: make(chan struct{}, 1)}
	keys := newKeyList(dhttest.Keys(t, "sweep", n))
	cfg := dht.AnnouncerConfig{Keys: keys.all}
	if change != nil {
		change(&cfg)
	}
	return b, reg.Join(testPeer(t, 1)), dht.NewAnnouncer(b, cfg), keys
}

// All keys are announced at the start, in batches, and again every 22 hours.
func TestSweepAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []dht.Cost
		b, other, a, keys := sweeping(t, 20_000, func(cfg *dht.AnnouncerConfig) {
			cfg.Swept = func(c dht.Cost) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, c)
			}
		})
		runAnnouncer(t, a)
		time.Sleep(time.Minute)
		b.want(t, "at the start", 8192, 8192, 3616)
		for _, i := range []int{0, 8192, 19_999} {
			if got := dhttest.All(other.Find(t.Context(), cid.NewCidV1(cid.Raw, (*keys.Load())[i]), 0)); len(got) != 1 {
				t.Errorf("key %d: found %v", i, got)
			}
		}
		ten := (*keys.Load())[:10]
		keys.Store(&ten)
		time.Sleep(22*time.Hour - 2*time.Minute)
		b.want(t, "before 22 hours")
		time.Sleep(2 * time.Minute)
		b.want(t, "after 22 hours", 10)
		mu.Lock()
		defer mu.Unlock()
		want := []dht.Cost{{Keys: 20_000, Records: 20_000, Peers: 1}, {Keys: 10, Records: 10, Peers: 1}}
		if len(told) != 2 || told[0] != want[0] || told[1] != want[1] {
			t.Errorf("told %+v, want %+v", told, want)
		}
	})
}

// Keys that come one by one are announced soon and together, less often the
// longer it goes on, and what an enumeration names is announced at once.
func TestSweepSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, other, a, _ := sweeping(t, 1, nil)
		runAnnouncer(t, a)
		time.Sleep(time.Second)
		b.want(t, "at the start", 1)

		more := dhttest.Keys(t, "more", 100)
		a.AddKey()
		a.AddKey(more[0], more[1])
		time.Sleep(50 * time.Millisecond)
		a.AddKey(more[2])
		time.Sleep(time.Second)
		b.want(t, "three keys", 3)
		if got := dhttest.All(other.Find(t.Context(), cid.NewCidV1(cid.Raw, more[2]), 0)); len(got) != 1 {
			t.Errorf("found %v", got)
		}

		time.Sleep(time.Minute)
		for range 10 * 60 * 10 { // ten minutes of ten keys a second
			a.AddKey(more[3])
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(b.take()); n < 20 || n > 30 {
			t.Errorf("%d batches in ten minutes, want 20 to 30", n)
		}

		time.Sleep(time.Minute)
		b.take()
		a.AddKeys(newKeyList(more).all)
		time.Sleep(time.Second)
		b.want(t, "an enumeration", 100)
	})
}

// More than fits is not lost: all keys are swept instead.
func TestSweepTooMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _, a, _ := sweeping(t, 7, nil)
		runAnnouncer(t, a)
		time.Sleep(time.Hour)
		b.want(t, "at the start", 7)
		a.AddKey(dhttest.Keys(t, "many", 8193)...)
		time.Sleep(time.Hour)
		b.want(t, "single keys", 7)
		a.AddKey(dhttest.Keys(t, "one", 1)...)
		time.Sleep(time.Hour)
		b.want(t, "one more", 1)
		none := newKeyList(nil).all
		for range 65 {
			a.AddKeys(none)
		}
		time.Sleep(time.Hour)
		b.want(t, "enumerations", 7)
	})
}

// Without anybody to tell, a sweep waits, and begins when somebody is met; after
// another failure it is made again.
func TestSweepFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _, a, _ := sweeping(t, 10_000, nil)
		b.fail(dht.ErrNoPeers)
		runAnnouncer(t, a)
		time.Sleep(time.Hour)
		if n := len(b.take()); n < 60 || n > 80 {
			t.Errorf("tried %d times in an hour alone, want about once a minute", n)
		}
		b.fail(nil)
		b.joined <- struct{}{}
		time.Sleep(time.Second)
		b.want(t, "somebody is met", 8192, 1808)

		b.fail(errors.New("nobody kept them"))
		time.Sleep(time.Hour)
		a.Again()
		time.Sleep(5 * time.Second)
		b.want(t, "another failure", 8192, 1808) // the rest is tried all the same
		time.Sleep(10 * time.Second)
		b.want(t, "after it", 8192, 1808)
		b.fail(nil)
		time.Sleep(time.Hour)
		b.want(t, "then", 8192, 1808)
	})
}

// What Keys cannot tell is tried again.
func TestSweepSourceFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := true
		key := dhttest.Keys(t, "broken", 1)
		b, _, a, _ := sweeping(t, 0, func(cfg *dht.AnnouncerConfig) {
			cfg.Keys = func(yield func(mh.Multihash) bool) error {
				yield(key[0])
				if broken {
					broken = false
					return errors.New("the disk sleeps")
				}
				return nil
			}
		})
		runAnnouncer(t, a)
		time.Sleep(time.Hour)
		b.want(t, "a source that failed once", 1, 1)
	})
}
