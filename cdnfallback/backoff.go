package cdnfallback

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/shoal-p2p/shoal/merkle"
)

// Limits of a [Backoff].
const (
	MinBackoff    = time.Second      // after the first failure
	MaxBackoff    = 5 * time.Minute  // however many failures
	MaxRetryAfter = 10 * time.Minute // that an origin can ask for
)

// Backoff tells until when an origin is left alone. It is pure: time and chance
// come in, the time until which to wait goes out. One owner; the zero value has
// seen no failure.
//
// The wait doubles with each failure in a row from MinBackoff to MaxBackoff and
// is drawn from its upper half, so that many clients of one origin do not come
// back together (the "equal jitter" of the AWS architecture blog, 2015). What an
// origin asks for in Retry-After is the least, up to MaxRetryAfter.
type Backoff struct {
	failures int
	until    time.Time
}

// OnFailure counts err and returns Until. Content that is wrong (a failed
// verification by the caller, a wrong length, range or encoding, a change
// between requests) counts as two failures: it costs more than an error that
// comes at once, and is less likely to pass.
func (b *Backoff) OnFailure(now time.Time, err error, rng *rand.Rand) time.Time {
	b.failures = min(b.failures+weight(err), 32)
	wait := MaxBackoff
	if shift := b.failures - 1; shift < 16 {
		wait = min(MinBackoff<<shift, MaxBackoff)
	}
	wait = wait/2 + time.Duration(rng.Int64N(int64(wait/2)+1))
	if e, ok := errors.AsType[*Error](err); ok {
		wait = max(wait, min(e.RetryAfter, MaxRetryAfter))
	}
	if until := now.Add(wait); until.After(b.until) {
		b.until = until
	}
	return b.until
}

// OnSuccess forgets all failures.
func (b *Backoff) OnSuccess() { *b = Backoff{} }

// Until is the time until which the origin is left alone; zero before a failure.
func (b *Backoff) Until() time.Time { return b.until }

// Failures is the number of failures in a row, wrong content counted twice.
func (b *Backoff) Failures() int { return b.failures }

func weight(err error) int {
	for _, wrong := range []error{merkle.ErrMismatch, ErrWrongLength, ErrRange, ErrEncoding, ErrChanged, ErrNotBlock} {
		if errors.Is(err, wrong) {
			return 2
		}
	}
	return 1
}

// retryAfter reads a Retry-After field: seconds or an HTTP date (RFC 9110,
// 10.2.3). 0 when there is none or it has passed.
func retryAfter(field string, now time.Time) time.Duration {
	if s, err := strconv.ParseInt(field, 10, 64); err == nil {
		return time.Duration(max(0, min(s, int64(time.Hour*24*365/time.Second)))) * time.Second
	}
	if t, err := http.ParseTime(field); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
