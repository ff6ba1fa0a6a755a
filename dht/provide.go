package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

const (
	// putTimeout bounds one ADD_PROVIDER. Peers that do not answer within it are
	// not worth waiting for: the others have the record.
	putTimeout = 10 * time.Second
	// confirmTries is how many peers are asked whether they have the record.
	confirmTries = 3
	// crowd is a number of providers from which a reply may have been cut, so
	// that not being listed in it says nothing.
	crowd = 1000
)

// Provide tells the 20 nodes nearest to c that this node has it. ADD_PROVIDER
// has no reply, and kad-dht's own Provide returns nil even if nobody could be
// told, so the records are counted here and one of them is asked for.
func (k *Kad) Provide(ctx context.Context, c cid.Cid) error {
	if !c.Defined() {
		return errors.New("announce: no content ID given")
	}
	key := c.Hash()
	self := peer.AddrInfo{ID: k.host.ID(), Addrs: k.dht.FilteredAddrs()}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	k.own.add(key) // as a server this node may be asked itself
	if k.Size() == 0 {
		return fmt.Errorf("announce %s: %w", c, ErrNoPeers)
	}
	if len(self.Addrs) == 0 {
		return fmt.Errorf("announce %s: %w", c, errNoAddress)
	}
	nearest, err := k.nearest(ctx, string(key))
	if err != nil && k.Size() == 0 { // they have all left since
		err = ErrNoPeers
	}
	if err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	told, err := k.tell(ctx, nearest, key, self)
	if err == nil {
		err = k.confirm(ctx, told, key)
	}
	if err != nil {
		k.looked.Store(0)
		return fmt.Errorf("announce %s: %w", c, err)
	}
	k.log.Debug("announced", "root", c, "peers", len(told))
	return nil
}

// errNoAddress says that a record of this node would lead nowhere.
var errNoAddress = errors.New("this node has no address that others could dial; let it listen on more than loopback")

// Withdraw takes back what Provide said, as far as a DHT lets one: this node no
// longer names itself. Others do until the record expires.
func (k *Kad) Withdraw(c cid.Cid) {
	if c.Defined() {
		k.own.remove(c.Hash())
	}
}

// tell sends the record to all of to at once and returns those that took it, or
// an error if none did.
func (k *Kad) tell(ctx context.Context, to []peer.ID, key mh.Multihash, self peer.AddrInfo) ([]peer.ID, error) {
	if len(to) == 0 {
		return nil, ErrNoPeers
	}
	errs := make([]error, len(to))
	var wg sync.WaitGroup
	for i, p := range to {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, putTimeout)
			defer cancel()
			errs[i] = k.rpc.PutProviderAddrs(ctx, p, key, self)
		})
	}
	wg.Wait()
	var told []peer.ID
	for i, err := range errs {
		if err == nil {
			told = append(told, to[i])
		}
	}
	if len(told) == 0 {
		return nil, fmt.Errorf("none of %d peers could be told: %w", len(to), errors.Join(errs...))
	}
	return told, nil
}

// confirm asks peers that took the record for it until one has it.
func (k *Kad) confirm(ctx context.Context, told []peer.ID, key mh.Multihash) error {
	told = told[:min(len(told), confirmTries)]
	var errs []error
	for _, p := range told {
		ctx, cancel := context.WithTimeout(ctx, putTimeout)
		provs, _, err := k.rpc.GetProviders(ctx, p, key)
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(provs) >= crowd {
			return nil
		}
		for _, prov := range provs {
			if prov.ID == k.host.ID() {
				return nil
			}
		}
	}
	return fmt.Errorf("none of %d peers that were asked kept the record: %w", len(told), errors.Join(errs...))
}
