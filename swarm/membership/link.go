package membership

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// MaxLink is the largest envelope of a Grant, an Invite or a Provisional, in
// bytes; ours have about 230.
const MaxLink = 512

// MaxUses is the most uses that an invite may have: those that count them
// remember who came.
const MaxUses = 4096

// Domains and payload types of the signed envelopes.
const (
	grantDomain, grantType             = "shoal-swarm-grant", "/shoal/swarm/grant/1"
	inviteDomain, inviteType           = "shoal-swarm-invite", "/shoal/swarm/invite/1"
	provisionalDomain, provisionalType = "shoal-swarm-provisional", "/shoal/swarm/provisional/1"
	listDomain, listType               = "shoal-swarm-revocations", "/shoal/swarm/revocations/1"
)

// Grant makes Subject a member of Swarm with Roles from NotBefore to NotAfter,
// both whole seconds. It is signed by the authority or by an inviter.
type Grant struct {
	Swarm, Subject      peer.ID
	Roles               Role
	NotBefore, NotAfter time.Time
}

// Invite lets the holder of Key bring in members with Roles until NotAfter. Uses,
// from 1 to MaxUses, is for the members that countersign.
type Invite struct {
	Swarm, Key          peer.ID
	Roles               Role
	NotBefore, NotAfter time.Time
	Uses                uint64
}

// Provisional says that Subject holds an invite. The invite's key signs it.
type Provisional struct {
	Swarm, Subject peer.ID
	Issued         time.Time
}

var _, _, _ record.Record = (*Grant)(nil), (*Invite)(nil), (*Provisional)(nil)

// Domain implements record.Record.
func (*Grant) Domain() string { return grantDomain }

// Codec implements record.Record.
func (*Grant) Codec() []byte { return []byte(grantType) }

// Domain implements record.Record.
func (*Invite) Domain() string { return inviteDomain }

// Codec implements record.Record.
func (*Invite) Codec() []byte { return []byte(inviteType) }

// Domain implements record.Record.
func (*Provisional) Domain() string { return provisionalDomain }

// Codec implements record.Record.
func (*Provisional) Codec() []byte { return []byte(provisionalType) }

// MarshalRecord implements record.Record.
func (g *Grant) MarshalRecord() ([]byte, error) {
	return Invite{g.Swarm, g.Subject, g.Roles, g.NotBefore, g.NotAfter, 0}.encode(), nil
}

// UnmarshalRecord implements record.Record.
func (g *Grant) UnmarshalRecord(b []byte) error {
	f, err := decodeLink(b)
	if err == nil && (f.Roles&^AllRoles != 0 || !f.Roles.Has(Member) || f.Uses != 0) {
		err = fmt.Errorf("%w: grant with roles %#x", ErrMalformed, uint32(f.Roles))
	}
	if err == nil {
		*g = Grant{f.Swarm, f.Key, f.Roles, f.NotBefore, f.NotAfter}
	}
	return err
}

// MarshalRecord implements record.Record.
func (i *Invite) MarshalRecord() ([]byte, error) { return i.encode(), nil }

// UnmarshalRecord implements record.Record.
func (i *Invite) UnmarshalRecord(b []byte) error {
	f, err := decodeLink(b)
	if err == nil && (f.Roles&^AllRoles != 0 || !f.Roles.Has(Member) || f.Uses < 1 || f.Uses > MaxUses) {
		err = fmt.Errorf("%w: invite with roles %#x, %d uses", ErrMalformed, uint32(f.Roles), f.Uses)
	}
	if err == nil {
		*i = f
	}
	return err
}

// MarshalRecord implements record.Record.
func (p *Provisional) MarshalRecord() ([]byte, error) {
	return Invite{Swarm: p.Swarm, Key: p.Subject, NotBefore: p.Issued}.encode(), nil
}

// UnmarshalRecord implements record.Record.
func (p *Provisional) UnmarshalRecord(b []byte) error {
	f, err := decodeLink(b)
	if err == nil && (f.Roles != 0 || f.Uses != 0 || f.NotAfter.Unix() != 0) {
		err = fmt.Errorf("%w: a provisional membership has no roles, uses or end of its own", ErrMalformed)
	}
	if err == nil {
		*p = Provisional{f.Swarm, f.Key, f.NotBefore}
	}
	return err
}

// encode is the payload of all three kinds: 1 swarm, 2 subject, 3 roles, 4 not
// before, 5 not after, 6 uses.
func (i Invite) encode() []byte {
	var e enc
	e.bytes(1, []byte(i.Swarm))
	e.bytes(2, []byte(i.Key))
	e.num(3, uint64(i.Roles))
	e.time(4, i.NotBefore)
	e.time(5, i.NotAfter)
	e.num(6, i.Uses)
	return e
}

func decodeLink(b []byte) (Invite, error) {
	i := Invite{NotBefore: time.Unix(0, 0).UTC(), NotAfter: time.Unix(0, 0).UTC()}
	err := decode(b, func(f field) (err error) {
		switch f.n {
		case 1:
			i.Swarm, err = readID(f.bytes)
		case 2:
			i.Key, err = readID(f.bytes)
		case 3:
			i.Roles = Role(f.num)
		case 4:
			i.NotBefore, err = readTime(f.num)
		case 5:
			i.NotAfter, err = readTime(f.num)
		case 6:
			i.Uses = f.num
		default:
			err = fmt.Errorf("%w: field %d", ErrMalformed, f.n)
		}
		return err
	})
	if err == nil {
		err = canonical(b, i.encode())
	}
	return i, err
}

// seal signs a record; the result is at most MaxLink bytes for Ed25519 keys.
func seal(key crypto.PrivKey, rec record.Record) ([]byte, error) {
	if key.Type() != cryptopb.KeyType_Ed25519 {
		return nil, fmt.Errorf("%w: only Ed25519 keys sign for a swarm", ErrMalformed)
	}
	env, err := record.Seal(rec, key)
	if err != nil {
		return nil, err
	}
	return env.Marshal()
}

// signerOf reads an envelope without trusting it: who claims to have signed
// what kind of payload.
func signerOf(b []byte) (peer.ID, string, error) {
	env, err := record.UnmarshalEnvelope(b)
	if err != nil {
		return "", "", fmt.Errorf("%w: envelope: %w", ErrMalformed, err)
	}
	// What no signature covers must not vary either: libp2p skips unknown fields.
	again, err := env.Marshal()
	if err == nil {
		err = canonical(b, again)
	}
	if err != nil {
		return "", "", fmt.Errorf("envelope: %w", err)
	}
	if env.PublicKey.Type() != cryptopb.KeyType_Ed25519 {
		return "", "", fmt.Errorf("%w: signed by a key that is not Ed25519", ErrMalformed)
	}
	id, err := peer.IDFromPublicKey(env.PublicKey)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return id, string(env.PayloadType), nil
}

// open verifies the envelope's signature and reads its payload into rec, whose
// type the caller has compared with signerOf's answer.
func open(b []byte, rec record.Record) error {
	if _, err := record.ConsumeTypedEnvelope(b, rec); err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	return nil
}
