package cdnfallback

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// An origin that answers 500, or 429 and 503 with and without Retry-After, for a
// minute is asked seldom meanwhile, never before it wants to be, and gives
// its bytes soon after it is well again.
func TestRecovery(t *testing.T) {
	t.Parallel()
	const ill = time.Minute
	for name, tt := range map[string]struct {
		fault  origintest.Fault
		within time.Duration // after its end
		most   int           // requests
	}{
		"500":                  {origintest.Fault{Status: 500}, 64 * time.Second, 12},
		"503":                  {origintest.Fault{Status: 503}, 64 * time.Second, 12},
		"503 for 20 s":         {origintest.Fault{Status: 503, RetryAfter: "20"}, 20 * time.Second, 6},
		"429 until a date":     {origintest.Fault{Status: 429, RetryAfter: "date"}, time.Second, 3},
		"cuts each connection": {origintest.Fault{Cut: 1}, 64 * time.Second, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				if tt.fault.RetryAfter == "date" {
					tt.fault.RetryAfter = began.Add(ill).UTC().Format(http.TimeFormat)
				}
				site := origintest.New()
				site.Text("/f", "0123456789")
				site.SetFault(tt.fault)
				// Just before: who asks at that very time has to find it well.
				well := time.AfterFunc(ill-time.Millisecond, func() { site.SetFault(origintest.Fault{}) })
				defer well.Stop()
				rt, stop := origintest.Pipe(site)
				defer stop()
				o, err := New(Config{URL: "http://cdn.example.com/f", Transport: rt})
				if err != nil {
					t.Fatal(err)
				}
				var wait Backoff
				rng := rand.New(rand.NewPCG(1, 2))
				for {
					if _, err = read(t.Context(), o, "", 0, 10, Validator{Size: 10}); err == nil {
						break
					}
					until := wait.OnFailure(time.Now(), err, rng)
					time.Sleep(time.Until(until))
				}
				if took := time.Since(began); took < ill || took > ill+tt.within {
					t.Errorf("the bytes came after %v, want %v to %v", took, ill, ill+tt.within)
				}
				if n := len(site.Requests()); n > tt.most {
					t.Errorf("%d requests, want at most %d", n, tt.most)
				}
			})
		})
	}
}
