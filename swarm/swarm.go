package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Timing of admission.
const (
	admitTimeout = 5 * time.Second  // from a connection to admission; who takes longer is disconnected
	partTimeout  = time.Second      // for the reason of a refusal to arrive
	pushTimeout  = 10 * time.Second // of a list to one member
	tick         = 30 * time.Second // between looks at what has come to its end
	lastGrace    = time.Hour        // that running transfers get after a membership has ended
	refusedFor   = 10 * time.Minute // a peer that was refused is not asked for so long
	warnEvery    = 24 * time.Hour   // between two words of one thing in the log
)

// maxRefused is how many refusals are remembered.
const maxRefused = 1024

// Config says what a Swarm works with. Dir and Key are required.
type Config struct {
	Dir string         // has swarm.json
	Key crypto.PrivKey // the node's identity, Ed25519
	Log *slog.Logger   // discards if nil

	// For tests.
	hold func()        // called before a peer is judged: admission is delayed
	leak protocol.ID   // open to strangers as well
	life time.Duration // of a countersigned membership; membership.Lifetime if zero
}

// Swarm is one private swarm as one of its members sees it. Its methods may be
// called from many goroutines.
type Swarm struct {
	cfg  Config
	log  *slog.Logger
	self peer.ID
	id   peer.ID
	name string
	gate gater

	// Set by Guard, once; nil before.
	guards  atomic.Bool // strangers' streams are stopped
	inner   host.Host
	reseen  event.Emitter // of EvtPeerIdentificationCompleted
	changed event.Emitter // of EvtPeerProtocolsUpdated

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stop   sync.Once

	refused *lru.Cache[peer.ID, refusal]

	mu    sync.Mutex
	st    *state
	reg   membership.Register
	chain membership.Chain
	spare membership.Chain      // the one before it, nil for none
	me    membership.Membership // zero when the own membership does not count
	peers map[peer.ID]*contact

	answering map[peer.ID]int // admission streams that they opened

	dirty bool // st has changed since it was saved
	left  bool // it is not to be saved any more

	warned time.Time // when warnings were last logged
}

// refusal is why a peer was not admitted, and when that was found.
type refusal struct {
	err error
	at  time.Time
}

// Open reads the swarm of a directory; ErrNotPrivate without one, ErrLost
// when the directory is private and has none. A membership
// that has ended is no error: Status tells. The caller closes the Swarm, after
// the host.
func Open(cfg Config) (*Swarm, error) {
	st, err := load(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if id, err := marked(cfg.Dir); err == nil && id == "" { // made before there were marks
		err = mark(cfg.Dir, st.ID)
		if err != nil {
			return nil, err
		}
	}
	s := &Swarm{cfg: cfg, log: cfg.Log, id: st.ID, name: st.Name, st: st, peers: map[peer.ID]*contact{}, answering: map[peer.ID]int{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.self, err = peer.IDFromPublicKey(cfg.Key.GetPublic()); err != nil {
		return nil, err
	}
	if s.refused, err = lru.New[peer.ID, refusal](maxRefused); err != nil {
		return nil, err
	}
	s.gate = newGater(s)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	now := time.Now()
	s.reg.Swarm = st.ID
	if err := s.reg.Restore(now, st.List, st.Revoked); err != nil {
		s.log.Warn("the list of revocations kept here does not count; it comes anew from members", "err", err)
	}
	if s.chain, err = membership.ParseChain(st.Chain); err != nil {
		return nil, fmt.Errorf("read own membership: %w", err)
	}
	if s.spare, err = membership.ParseChain(st.Before); err != nil {
		return nil, fmt.Errorf("read own former membership: %w", err)
	}
	if err := s.judgeSelf(now); err != nil {
		s.log.Warn("own membership does not count: nobody will admit this node", "swarm", s.name, "err", err)
	}
	return s, nil
}

// judgeSelf looks at the own membership again. When the inviter that renewed it
// last was revoked, the one before may still count. mu is held, or s is not
// shared yet.
func (s *Swarm) judgeSelf(now time.Time) error {
	m, err := membership.Check(now, s.id, s.self, s.chain, s.reg.Has)
	if errors.Is(err, membership.ErrRevoked) && len(s.spare) > 0 {
		if before, e := membership.Check(now, s.id, s.self, s.spare, s.reg.Has); e == nil {
			s.chain, s.spare, s.dirty = s.spare, nil, true
			m, err = before, nil
		}
	}
	s.me = m // zero with an error
	return err
}

// ID names the swarm: the peer ID of its authority.
func (s *Swarm) ID() peer.ID { return s.id }

// Name is what people call the swarm.
func (s *Swarm) Name() string { return s.name }

// Prefix comes before the names of the swarm's protocols.
func (s *Swarm) Prefix() string { return "/shoal/" + s.id.String() }

// Service is the swarm's name for mDNS. It is a digest: it does not tell a LAN
// which swarm is there, and fits RFC 6763's 15 characters.
func (s *Swarm) Service() string {
	sum := sha256.Sum256([]byte("shoal mdns " + s.id.String()))
	return "_shoal-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5])) + "._udp"
}

// protocol is the admission protocol's name.
func (s *Swarm) protocol() protocol.ID { return protocol.ID(s.Prefix() + "/admission/1.0.0") }

// Bootstrap are the members that the invite named.
func (s *Swarm) Bootstrap() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.st.Addrs...)
}

// Admitted reports whether a peer is connected and each side has admitted the
// other. It does not block.
func (s *Swarm) Admitted(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.peers[p]
	return c != nil && c.in && c.welcomed
}

// Relays reports whether a peer is an admitted member with the role relay: others
// are not asked to relay, since a relay sees who talks to whom.
func (s *Swarm) Relays(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.peers[p]
	return c != nil && c.in && c.welcomed && c.m.Roles.Has(membership.Relay)
}

// MayAsk reports whether a peer is worth a connection: it is not revoked, and was
// not refused lately. It does not block.
func (s *Swarm) MayAsk(p peer.ID) bool {
	r, ok := s.refused.Peek(p)
	if ok && time.Since(r.at) < refusedFor {
		return false
	}
	return !s.isRevoked(p)
}

func (s *Swarm) isRevoked(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reg.Has(p)
}

// spawn runs f in a goroutine that Close waits for, unless s is closed.
func (s *Swarm) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.launch(f)
}

// launch is spawn with mu held.
func (s *Swarm) launch(f func()) bool {
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Go(f)
	return true
}

// Close stops everything and saves. Later calls do nothing.
func (s *Swarm) Close() error {
	var err error
	s.stop.Do(func() {
		s.mu.Lock()
		s.cancel()
		s.mu.Unlock()
		s.wg.Wait()
		if s.inner != nil {
			err = errors.Join(s.reseen.Close(), s.changed.Close())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		err = errors.Join(err, s.save(false))
	})
	return err
}

// save writes the state if it has changed or must. mu is held.
func (s *Swarm) save(must bool) error {
	if s.left || !must && !s.dirty {
		return nil
	}
	s.st.Chain, s.st.Before = membership.AppendChain(nil, s.chain), membership.AppendChain(nil, s.spare)
	s.st.List, s.st.Revoked = s.reg.Raw(), s.reg.Names()
	err := s.st.save(s.cfg.Dir)
	s.dirty = err != nil
	return err
}

// saved is save for those who can only log an error. mu is held.
func (s *Swarm) saved() {
	if err := s.save(true); err != nil {
		s.log.Error("the swarm's state is not on disk", "err", err)
	}
}
