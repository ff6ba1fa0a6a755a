package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/provider"
	mh "github.com/multiformats/go-multihash"
)

// batch is kad-dht's SweepingProvider: it finds the nodes of a region of the key
// space once and sends them all keys of the region. It is used for bursts only.
// Its own schedule would want all keys in a second index and would load a whole
// region at a time, which in a swarm of 20 nodes is everything.
type batch struct {
	*provider.SweepingProvider
	counter *counter
}

func (k *Kad) newBatch() (*batch, error) {
	c := &counter{MessageSender: k.dht.MessageSender()}
	p, err := provider.New(
		provider.WithHost(k.host),
		provider.WithRouter(k.dht),
		provider.WithMessageSender(c),
		provider.WithSelfAddrs(k.dht.FilteredAddrs),
		provider.WithReprovideInterval(0),
		provider.WithDedicatedPeriodicWorkers(0),
		provider.WithSendProviderRecordTimeout(putTimeout),
	)
	if err != nil {
		return nil, fmt.Errorf("announce in batches: %w", err)
	}
	return &batch{p, c}, nil
}

// ProvideMany announces keys in one batch and says what that took. It returns
// ErrNoPeers when there was nobody to tell, and another error when nobody kept
// the first of them or ctx ended before all were sent. One batch runs at a time.
func (k *Kad) ProvideMany(ctx context.Context, keys []mh.Multihash) (Cost, error) {
	select {
	case k.batching <- struct{}{}:
		defer func() { <-k.batching }()
	case <-ctx.Done():
		return Cost{}, fmt.Errorf("announce %d keys: %w", len(keys), context.Cause(ctx))
	}
	cost, err := k.provideMany(ctx, distinct(keys))
	if err != nil {
		err = fmt.Errorf("announce %d keys: %w", len(keys), err)
	}
	return cost, err
}

// distinct returns keys sorted and each once.
func distinct(keys []mh.Multihash) []mh.Multihash {
	keys = slices.SortedFunc(slices.Values(keys), func(a, b mh.Multihash) int { return slices.Compare(a, b) })
	return slices.CompactFunc(keys, func(a, b mh.Multihash) bool { return slices.Equal(a, b) })
}

// provideMany runs with k.batching taken.
func (k *Kad) provideMany(ctx context.Context, keys []mh.Multihash) (Cost, error) {
	if err := context.Cause(ctx); err != nil || len(keys) == 0 {
		return Cost{}, err
	}
	if len(keys[0]) == 0 { // they are sorted
		return Cost{}, errors.New("no content ID given")
	}
	if k.Size() == 0 {
		return Cost{}, ErrNoPeers
	}
	if len(k.dht.FilteredAddrs()) == 0 {
		return Cost{}, errNoAddress
	}
	before := k.host.bytes.Load()
	b, err := k.onlineBatch(ctx)
	if err != nil {
		return Cost{}, err
	}
	b.counter.start(string(keys[0]))
	err = b.run(ctx, keys)
	records, peers, told := b.counter.result()
	if err == nil && records == 0 {
		err = errors.New("none of the nodes nearest to them could be told")
	}
	if err == nil {
		err = k.confirm(ctx, told, keys[0])
	}
	return Cost{Keys: len(keys), Records: records, Peers: peers, Bytes: k.host.bytes.Load() - before}, err
}

// onlineBatch returns the batch provider once it has looked around. One that has
// lost the network waits up to a minute before it looks again, so it is replaced.
func (k *Kad) onlineBatch(ctx context.Context) (*batch, error) {
	if k.batch != nil {
		if st, err := k.batch.Stats(ctx); err != nil || st.Connectivity.Status != "online" {
			if err := k.closeBatch(); err != nil {
				return nil, err
			}
		}
	}
	if k.batch == nil {
		b, err := k.newBatch()
		if err != nil {
			return nil, err
		}
		k.batch = b
	}
	err := k.batch.until(ctx, func(s progress) bool { return s.online })
	return k.batch, err
}

// closeBatch runs with k.batching taken, or after everything else has ended.
func (k *Kad) closeBatch() error {
	if k.batch == nil {
		return nil
	}
	err := k.batch.Close()
	k.batch = nil
	return err
}

// progress is where a batch provider is.
type progress struct {
	online bool // it knows how large the swarm is, without which it drops keys
	busy   int  // keys that wait or are being sent
	done   int  // keys sent since it started, those sent again counted again
}

func (b *batch) progress(ctx context.Context) (progress, error) {
	st, err := b.Stats(ctx)
	return progress{
		online: st.Connectivity.Status == "online" && st.Schedule.AvgPrefixLength >= 0,
		busy:   int(st.Queues.PendingKeyProvides) + st.Operations.Ongoing.KeyProvides,
		done:   int(st.Operations.Past.KeysProvided + st.Operations.Past.KeysFailed),
	}, err
}

// run sends keys and waits until they are sent. What is not sent when ctx ends
// is forgotten.
func (b *batch) run(ctx context.Context, keys []mh.Multihash) error {
	before, err := b.progress(ctx)
	if err != nil {
		return err
	}
	if err := b.ProvideOnce(keys...); err != nil {
		return err
	}
	// Between the queue and the work a key is counted nowhere, so both are asked.
	// A provider that has lost the network would wait for it for hours.
	lost := false
	err = b.until(ctx, func(s progress) bool {
		lost = !s.online
		return lost || s.busy == 0 && s.done >= before.done+len(keys)
	})
	if lost {
		err = fmt.Errorf("nobody answers any more: %w", ErrNoPeers)
	}
	if err != nil {
		b.Clear()
	}
	return err
}

// until looks at the progress again and again, for it tells nobody.
func (b *batch) until(ctx context.Context, ok func(progress) bool) error {
	const first, most = 5 * time.Millisecond, 250 * time.Millisecond
	for wait := first; ; wait = min(2*wait, most) {
		s, err := b.progress(ctx)
		if err != nil || ok(s) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
