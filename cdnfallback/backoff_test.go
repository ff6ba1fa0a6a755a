package cdnfallback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// The wait doubles from a second to five minutes and lies in its upper half.
func TestBackoffDoubles(t *testing.T) {
	t.Parallel()
	var b Backoff
	rng := rand.New(rand.NewPCG(1, 2))
	now := noon
	for i, most := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		most *= time.Second
		until := b.OnFailure(now, ErrTruncated, rng)
		if wait := until.Sub(now); wait < most/2 || wait > most {
			t.Errorf("failure %d: waits %v, want %v to %v", i+1, wait, most/2, most)
		}
		if b.Until() != until || b.Failures() != i+1 {
			t.Errorf("failure %d: Until %v, Failures %d", i+1, b.Until(), b.Failures())
		}
		now = until
	}
	for range 100 {
		now = b.OnFailure(now, merkle.ErrMismatch, rng)
	}
	if b.Failures() != 32 {
		t.Errorf("%d failures are counted, want no more than 32", b.Failures())
	}
	b.OnSuccess()
	if b != (Backoff{}) {
		t.Errorf("got %+v after a success", b)
	}
	if wait := b.OnFailure(now, ErrGone, rng).Sub(now); wait > time.Second {
		t.Errorf("waits %v after a success and a failure", wait)
	}
}

func TestBackoffWeighs(t *testing.T) {
	t.Parallel()
	busy := func(d time.Duration) error {
		return fmt.Errorf("fetch: %w", &Error{Kind: ErrBusy, RetryAfter: d, Err: errors.New("x")})
	}
	tests := map[string]struct {
		err         error
		failures    int
		least, most time.Duration
	}{
		"lost":         {ErrTruncated, 1, time.Second / 2, time.Second},
		"wrong bytes":  {fmt.Errorf("piece 3: %w", merkle.ErrMismatch), 2, time.Second, 2 * time.Second},
		"wrong length": {&Error{Kind: ErrWrongLength, Err: errors.New("x")}, 2, time.Second, 2 * time.Second},
		"wrong range":  {&Error{Kind: ErrRange, Err: errors.New("x")}, 2, time.Second, 2 * time.Second},
		"encoded":      {&Error{Kind: ErrEncoding, Err: errors.New("x")}, 2, time.Second, 2 * time.Second},
		"changed":      {&Error{Kind: ErrChanged, Err: errors.New("x")}, 2, time.Second, 2 * time.Second},
		"no block":     {&Error{Kind: ErrNotBlock, Err: errors.New("x")}, 2, time.Second, 2 * time.Second},
		"busy":         {busy(0), 1, time.Second / 2, time.Second},
		"busy 90 s":    {busy(90 * time.Second), 1, 90 * time.Second, 90 * time.Second},
		"busy a year":  {busy(365 * 24 * time.Hour), 1, 10 * time.Minute, 10 * time.Minute},
	}
	for name, tt := range tests {
		var b Backoff
		wait := b.OnFailure(noon, tt.err, rand.New(rand.NewPCG(3, 4))).Sub(noon)
		if b.Failures() != tt.failures || wait < tt.least || wait > tt.most {
			t.Errorf("%s: %d failures, waits %v; want %d, %v to %v", name, b.Failures(), wait, tt.failures, tt.least, tt.most)
		}
	}
}

// A failure that was under way does not shorten what the origin asked for.
func TestBackoffKeepsTheLaterTime(t *testing.T) {
	t.Parallel()
	var b Backoff
	rng := rand.New(rand.NewPCG(1, 2))
	want := b.OnFailure(noon, &Error{Kind: ErrBusy, RetryAfter: time.Minute, Err: errors.New("x")}, rng)
	if got := b.OnFailure(noon.Add(time.Second), ErrTruncated, rng); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRetryAfterField(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]time.Duration{
		"":                     0,
		"7":                    7 * time.Second,
		"0":                    0,
		"-7":                   0,
		"soon":                 0,
		"99999999999":          365 * 24 * time.Hour,
		"9223372036854775807":  365 * 24 * time.Hour,
		"92233720368547758070": 0,
		noon.Add(3 * time.Minute).Format(http.TimeFormat): 3 * time.Minute,
		noon.Add(-time.Minute).Format(http.TimeFormat):    0,
	} {
		if got := retryAfter(field, noon); got != want {
			t.Errorf("%q: got %v, want %v", field, got, want)
		}
	}
}
