package membership

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// MaxRevoked is how many peers and invites a list may name.
const MaxRevoked = 2048

// MaxList is the largest encoded list, in bytes: MaxRevoked Ed25519 peer IDs and
// the signer's chain.
const MaxList = MaxRevoked*(38+2) + MaxBytes + 512

// RevokerLag is by how much the sequence of a revoker's list stays behind its
// date: there is always a higher number for the authority.
const RevokerLag = 10 * time.Minute

// List names the members and the invites (by their key) that are revoked. The
// signer is the authority or a revoker. Sequence grows by one or more from list
// to list and is no greater than Issued in seconds since 1970: so that a leaked
// key cannot use the numbers up.
type List struct {
	Swarm    peer.ID
	Sequence uint64
	Issued   time.Time
	Revoked  []peer.ID // sorted, each once
}

// Domain implements record.Record.
func (*List) Domain() string { return listDomain }

// Codec implements record.Record.
func (*List) Codec() []byte { return []byte(listType) }

// MarshalRecord implements record.Record: 1 swarm, 2 sequence, 3 issued, 4 revoked.
func (l *List) MarshalRecord() ([]byte, error) {
	var e enc
	e.bytes(1, []byte(l.Swarm))
	e.num(2, l.Sequence)
	e.time(3, l.Issued)
	for _, id := range l.Revoked {
		e.bytes(4, []byte(id))
	}
	return e, nil
}

// UnmarshalRecord implements record.Record.
func (l *List) UnmarshalRecord(b []byte) error {
	got := List{Issued: time.Unix(0, 0).UTC()}
	err := decode(b, func(f field) (err error) {
		switch f.n {
		case 1:
			got.Swarm, err = readID(f.bytes)
		case 2:
			got.Sequence = f.num
		case 3:
			got.Issued, err = readTime(f.num)
		case 4:
			var id peer.ID
			id, err = readID(f.bytes)
			switch n := len(got.Revoked); {
			case n == MaxRevoked:
				err = fmt.Errorf("%w: more than %d revoked", ErrTooLarge, MaxRevoked)
			case n > 0 && got.Revoked[n-1] >= id:
				err = fmt.Errorf("%w: revoked IDs are not sorted", ErrMalformed)
			}
			got.Revoked = append(got.Revoked, id)
		default:
			err = fmt.Errorf("%w: field %d", ErrMalformed, f.n)
		}
		return err
	})
	if err != nil {
		return err
	}
	again, _ := got.MarshalRecord() // never fails
	if err := canonical(b, again); err != nil {
		return err
	}
	*l = got
	return nil
}

// appendList is a list as it travels: the signer's chain as fields 1, the
// envelope as field 2.
func appendList(chain Chain, envelope []byte) []byte {
	e := enc(AppendChain(nil, chain))
	e.bytes(2, envelope)
	return e
}

func parseList(b []byte) (chain Chain, envelope []byte, err error) {
	if len(b) > MaxList {
		return nil, nil, fmt.Errorf("%w: a list of %d bytes", ErrTooLarge, len(b))
	}
	err = decode(b, func(f field) error {
		switch {
		case f.n == 1 && len(chain) < MaxChain && len(f.bytes) <= MaxLink:
			chain = append(chain, f.bytes)
		case f.n == 2 && len(f.bytes) > 0:
			envelope = f.bytes
		default:
			return fmt.Errorf("%w: field %d", ErrMalformed, f.n)
		}
		return nil
	})
	if err == nil {
		err = canonical(b, appendList(chain, envelope))
	}
	return chain, envelope, err
}

// Digest is what tells two lists of one number apart: the SHA-256 of the signer's
// ID and the signed payload. The signer's chain, which anybody can replace by
// another one of the same signer, is not part of it. All zero for what is no list.
func Digest(b []byte) (sum [sha256.Size]byte) {
	_, envelope, err := parseList(b)
	if err != nil {
		return sum
	}
	env, err := record.UnmarshalEnvelope(envelope)
	if err != nil {
		return sum
	}
	signer, err := peer.IDFromPublicKey(env.PublicKey)
	if err != nil {
		return sum
	}
	return sha256.Sum256(append([]byte(signer), env.RawPayload...))
}

// openList verifies a list: signed by the authority, or by a member that was a
// revoker when it was issued and is not revoked by what is known already. Its
// own membership may have ended since: revocation must not end with it.
func openList(now time.Time, swarm peer.ID, b []byte, revoked func(peer.ID) bool) (List, error) {
	var l List
	chain, envelope, err := parseList(b)
	if err != nil {
		return l, err
	}
	signer, kind, err := signerOf(envelope)
	if err != nil {
		return l, err
	}
	if kind != listType {
		return l, fmt.Errorf("%w: payload type %q", ErrMalformed, kind)
	}
	if err := open(envelope, &l); err != nil {
		return l, err
	}
	switch {
	case l.Swarm != swarm:
		return l, fmt.Errorf("%w: %v", ErrSwarm, l.Swarm)
	case now.Add(ClockSkew).Before(l.Issued):
		return l, fmt.Errorf("%w: issued on %s", ErrNotYet, l.Issued.Format(time.RFC3339))
	case l.Sequence == 0 || l.Sequence > uint64(l.Issued.Unix()):
		return l, fmt.Errorf("%w: sequence %d", ErrMalformed, l.Sequence)
	}
	if len(chain) == 0 && signer == swarm {
		return l, nil
	}
	m, err := Check(l.Issued, swarm, signer, chain, revoked)
	switch {
	case err != nil:
		return l, fmt.Errorf("the signer of the list: %w", err)
	case m.Provisional() || !m.Roles.Has(Revoker):
		return l, fmt.Errorf("%w: %v is no revoker", ErrRole, signer)
	case l.Sequence > uint64(l.Issued.Add(-RevokerLag).Unix()):
		return l, fmt.Errorf("%w: sequence %d of a revoker", ErrMalformed, l.Sequence)
	}
	return l, nil
}

// Register is what one node knows to be revoked: the newest list, and every
// name on any list that it ever accepted. A name never leaves it: of two lists
// with one number, made by revokers that did not know of each other, both count.
// The zero value with Swarm set is ready.
type Register struct {
	Swarm peer.ID

	newest List
	raw    []byte
	digest [sha256.Size]byte
	names  map[peer.ID]bool
}

// Restore loads what was saved: Raw of a register and its Names. ErrMalformed and
// others as in Offer; names alone are kept even then.
func (r *Register) Restore(now time.Time, raw []byte, names []peer.ID) error {
	r.names = map[peer.ID]bool{}
	var err error
	if len(raw) > 0 {
		_, err = r.Offer(now, raw)
	}
	r.add(names)
	return err
}

func (r *Register) add(ids []peer.ID) (changed bool) {
	if r.names == nil {
		r.names = map[peer.ID]bool{}
	}
	for _, id := range ids {
		if !r.names[id] {
			r.names[id], changed = true, true
		}
	}
	return changed
}

// Offer takes a list from somebody else. It reports whether anything changed:
// the newest list or the names. ErrStale when the list is older than the newest,
// which stays, and names nothing new. A newest list whose signer has been revoked
// gives way to any that counts: its number would keep out those who know.
func (r *Register) Offer(now time.Time, b []byte) (changed bool, err error) {
	l, err := openList(now, r.Swarm, b, r.Has)
	if err != nil {
		return false, err
	}
	digest := Digest(b)
	changed = r.add(l.Revoked)
	newer := cmp.Or(cmp.Compare(l.Sequence, r.newest.Sequence), bytes.Compare(digest[:], r.digest[:]))
	if newer > 0 || newer < 0 && r.fallen(now) {
		r.newest, r.raw, r.digest, changed = l, bytes.Clone(b), digest, true
	}
	if l.Sequence < r.newest.Sequence && !changed {
		return false, fmt.Errorf("%w: sequence %d, known is %d", ErrStale, l.Sequence, r.newest.Sequence)
	}
	return changed, nil
}

// fallen reports whether the signer of the newest list is revoked by now.
func (r *Register) fallen(now time.Time) bool {
	_, err := openList(now, r.Swarm, r.raw, r.Has)
	return errors.Is(err, ErrRevoked)
}

// Revoke signs a list that names all that is revoked and ids, and takes it in.
// ErrRole when the issuer is neither authority nor revoker; ErrNotYet when a
// revoker whose clock is ahead has used up the numbers that the issuer may use.
func (r *Register) Revoke(now time.Time, by Issuer, ids ...peer.ID) error {
	if !by.Roles.Has(Revoker) {
		return fmt.Errorf("%w: this node has the roles %v", ErrRole, by.Roles)
	}
	names := maps.Clone(r.names)
	if names == nil {
		names = map[peer.ID]bool{}
	}
	for _, id := range ids {
		if id == r.Swarm {
			return fmt.Errorf("%w: the authority itself cannot be revoked", ErrRole)
		}
		names[id] = true
	}
	if len(names) > MaxRevoked {
		return fmt.Errorf("%w: more than %d revoked; begin a new swarm", ErrTooLarge, MaxRevoked)
	}
	// A number cannot be beyond its date, even where a revoker has signed one that
	// is: whoever revokes that one needs no higher number.
	last := now
	if len(by.Chain) > 0 {
		last = now.Add(-RevokerLag)
	}
	sequence := min(r.newest.Sequence+1, uint64(last.Unix()))
	l := List{Swarm: r.Swarm, Sequence: sequence, Issued: now, Revoked: slices.Sorted(maps.Keys(names))}
	env, err := seal(by.Key, &l)
	if err != nil {
		return err
	}
	raw := appendList(by.Chain, env)
	if _, err = r.Offer(now, raw); err == nil && Digest(raw) != r.digest {
		err = fmt.Errorf("%w: the newest list has the number %d, there is no higher one yet; try again in some minutes, or revoke its signer", ErrNotYet, r.newest.Sequence)
	}
	return err
}

// Incomplete reports whether names are known that the newest list lacks: a
// revoker then signs a new one.
func (r *Register) Incomplete() bool { return len(r.names) > len(r.newest.Revoked) }

// Has reports whether a peer or an invite is revoked.
func (r *Register) Has(id peer.ID) bool { return r.names[id] }

// Names are all that is revoked, sorted.
func (r *Register) Names() []peer.ID { return slices.Sorted(maps.Keys(r.names)) }

// Sequence is the number of the newest list, 0 for none.
func (r *Register) Sequence() uint64 { return r.newest.Sequence }

// Digest is that of Raw, all zero for none.
func (r *Register) Digest() [sha256.Size]byte { return r.digest }

// Raw is the newest list as it travels, nil for none. It must not be changed.
func (r *Register) Raw() []byte { return r.raw }

// Issued is the date of the newest list.
func (r *Register) Issued() time.Time { return r.newest.Issued }
