package membership

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func (s swarm) token() Token {
	return Token{
		Name: "studio", Chain: s.inviteChain, Seed: s.invite.seed,
		Addrs: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/7461/p2p/" + s.founder.id.String())},
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	text := s.token().String()
	got, err := ParseToken(" " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "studio" || got.Seed != s.invite.seed || !slices.EqualFunc(got.Addrs, s.token().Addrs, ma.Multiaddr.Equal) {
		t.Errorf("got %+v", got)
	}
	in, err := CheckInvite(epoch, got.Chain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if in.Swarm != s.authority.id || in.Key != s.invite.id || in.Uses != 10 || in.Roles != Member|Publisher || !in.NotAfter.Equal(epoch.Add(7*day)) {
		t.Errorf("invite is %+v", in)
	}
	if n := len(text); n > 1200 {
		t.Errorf("an invite has %d characters", n)
	}
}

func TestTokenRefused(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	text := s.token().String()
	other := s.token()
	other.Name = "a/b"
	noPeer := s.token()
	noPeer.Addrs = []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/7461")}
	for name, text := range map[string]string{
		"cut": text[:len(text)-1], "mistyped": strings.Replace(text, "A", "B", 1), "no prefix": text[13:],
		"empty": "", "name with a slash": other.String(), "address without peer": noPeer.String(),
		"line break inside": text[:40] + "\n" + text[40:],
	} {
		if _, err := ParseToken(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseToken(strings.Repeat("x", MaxToken+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

func TestInviteRefused(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	if _, err := CheckInvite(epoch.Add(8*day), s.inviteChain, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
	if _, err := CheckInvite(epoch, s.memberChain, nil); !errors.Is(err, ErrChain) {
		t.Errorf("a membership as an invite: %v", err)
	}
	if _, err := CheckInvite(epoch, nil, nil); !errors.Is(err, ErrNone) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Mint(epoch, s.inviteChain, s.guest.seed, s.guest.id); !errors.Is(err, ErrMalformed) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := s.first.Invite(epoch, s.invite.seed, Member, time.Hour, 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("without uses: %v", err)
	}
}
