package dht

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	mh "github.com/multiformats/go-multihash"
)

// sweepTimeout bounds the announcement of one batch: 160,000 records.
const sweepTimeout = 10 * time.Minute

// sweep keeps announcing many keys in batches: all of them from time to time,
// and those that come in between soon. It holds none of them itself.
type sweep struct {
	router Router
	keys   Keys
	swept  func(Cost)
	log    *slog.Logger
	wake   chan struct{} // holds one value: the plan has changed

	mu   sync.Mutex
	plan *sweepPlan
}

// change changes the plan and lets run look at it.
func (s *sweep) change(f func(p *sweepPlan, now time.Time)) {
	s.mu.Lock()
	f(s.plan, time.Now())
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run ends with ctx.
func (s *sweep) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.mu.Lock()
		job, due := s.plan.next(time.Now())
		at := s.plan.deadline()
		s.mu.Unlock()
		if due {
			s.do(ctx, job)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(time.Until(at))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// do announces what a job names, a batch at a time, and takes in the result.
func (s *sweep) do(ctx context.Context, job sweepJob) {
	var cost Cost
	var err error
	batch := job.fresh
	flush := func() {
		if len(batch) > 0 && !errors.Is(err, ErrNoPeers) {
			c, e := s.provide(ctx, batch)
			cost, err, batch = cost.Plus(c), errors.Join(err, e), batch[:0]
		}
	}
	sources := job.sources
	if job.all {
		sources = []Keys{s.keys}
	}
	for _, keys := range sources {
		e := keys(func(key mh.Multihash) bool {
			if batch = append(batch, key); len(batch) >= sweepBatch {
				flush()
			}
			return ctx.Err() == nil && !errors.Is(err, ErrNoPeers)
		})
		err = errors.Join(err, e)
	}
	flush()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.log.Debug("not all announced", "keys", cost.Keys, "err", err)
	}
	s.mu.Lock()
	s.plan.finished(time.Now(), job, err, errors.Is(err, ErrNoPeers))
	s.mu.Unlock()
	if s.swept != nil && err == nil && len(sources) > 0 && cost.Keys > 0 {
		s.swept(cost)
	}
}

// provide announces one batch.
func (s *sweep) provide(ctx context.Context, batch []mh.Multihash) (Cost, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	return s.router.ProvideMany(ctx, batch)
}
