package membership

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// SeedSize is the size of the secret from which a key is made, in bytes.
const SeedSize = ed25519.SeedSize

// Issuer signs for a swarm: its authority, or a member with its own chain.
type Issuer struct {
	Key      crypto.PrivKey
	Swarm    peer.ID
	Chain    Chain // nil for the authority
	Roles    Role
	NotAfter time.Time // of its own membership; zero for the authority
}

// KeyFromSeed makes the Ed25519 key of an authority or an invite.
func KeyFromSeed(seed [SeedSize]byte) (crypto.PrivKey, peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		return nil, "", err
	}
	id, err := peer.IDFromPublicKey(key.GetPublic())
	return key, id, err
}

// Authority is the issuer that a swarm's own key makes.
func Authority(key crypto.PrivKey) (Issuer, error) {
	id, err := peer.IDFromPublicKey(key.GetPublic())
	return Issuer{Key: key, Swarm: id, Roles: AllRoles}, err
}

// Of is the issuer that a member is with its key.
func Of(key crypto.PrivKey, chain Chain, m Membership) Issuer {
	return Issuer{Key: key, Swarm: m.Swarm, Chain: chain, Roles: m.Roles, NotAfter: m.NotAfter}
}

// Grant makes subject a member for life from now on, no longer than the issuer
// itself, and returns its chain.
// Lifetime if life is zero; ErrRole when the issuer may not.
func (i Issuer) Grant(now time.Time, subject peer.ID, roles Role, life time.Duration) (Chain, error) {
	if life == 0 {
		life = Lifetime
	}
	if len(i.Chain) >= MaxGrants {
		return nil, fmt.Errorf("%w: %d members stand between the authority and this one, at most %d", ErrRole, len(i.Chain), MaxGrants-1)
	}
	if err := i.may(roles); err != nil {
		return nil, err
	}
	return i.extend(&Grant{i.Swarm, subject, roles | Member, now, i.end(now, life)})
}

// Invite makes an invite for the key of seed and returns its chain.
func (i Issuer) Invite(now time.Time, seed [SeedSize]byte, roles Role, life time.Duration, uses uint64) (Chain, error) {
	if uses < 1 || uses > MaxUses {
		return nil, fmt.Errorf("%w: an invite has 1 to %d uses", ErrMalformed, MaxUses)
	}
	if len(i.Chain) >= MaxGrants {
		return nil, fmt.Errorf("%w: too many members stand between the authority and this one", ErrRole)
	}
	if err := i.may(roles); err != nil {
		return nil, err
	}
	_, id, err := KeyFromSeed(seed)
	if err != nil {
		return nil, err
	}
	return i.extend(&Invite{i.Swarm, id, roles | Member, now, i.end(now, life), uses})
}

// Mint makes the provisional membership of subject from an invite's chain and seed.
func Mint(now time.Time, invite Chain, seed [SeedSize]byte, subject peer.ID) (Chain, error) {
	in, err := CheckInvite(now, invite, nil)
	if err != nil {
		return nil, err
	}
	key, id, err := KeyFromSeed(seed)
	if err != nil {
		return nil, err
	}
	if id != in.Key {
		return nil, fmt.Errorf("%w: the key is not the invite's", ErrMalformed)
	}
	i := Issuer{Key: key, Chain: invite}
	return i.extend(&Provisional{in.Swarm, subject, now})
}

func (i Issuer) may(roles Role) error {
	if !i.Roles.Has(Inviter) || !i.Roles.Has(roles|Member) {
		return fmt.Errorf("%w: this node has the roles %v", ErrRole, i.Roles)
	}
	return nil
}

func (i Issuer) end(now time.Time, life time.Duration) time.Time {
	end := now.Add(life)
	if !i.NotAfter.IsZero() && i.NotAfter.Before(end) {
		end = i.NotAfter
	}
	return end
}

// extend signs a link and puts it at the end of the issuer's chain.
func (i Issuer) extend(rec record.Record) (Chain, error) {
	b, err := seal(i.Key, rec)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(i.Chain), b), nil
}
