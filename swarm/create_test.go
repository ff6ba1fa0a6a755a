package swarm

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

func TestCreateJoinLeave(t *testing.T) {
	t.Parallel()
	a, b, keyfile := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "stick.key")
	founder, guest := testnet.Key(t, 0), testnet.Key(t, 1)
	path, err := Create(a, "studio", keyfile, founder)
	if err != nil || path != keyfile {
		t.Fatalf("create: %q, %v", path, err)
	}
	for _, f := range []string{keyfile, statePath(a)} {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, info.Mode())
		}
	}
	if _, err := Create(a, "again", "", founder); err == nil {
		t.Error("a directory with two swarms")
	}
	s, err := Open(Config{Dir: a, Key: founder})
	if err != nil {
		t.Fatal(err)
	}
	invite := newInvite(t, s, membership.Member, time.Hour, 1)
	st := s.Status()
	if _, err := authorityKey(st.Authority, false); err != nil {
		t.Errorf("the authority's key is not where Status says: %v", err)
	}
	if st.Err != nil || st.Membership.Roles != membership.AllRoles {
		t.Errorf("founder: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Join(b, invite[:len(invite)-3], guest); !errors.Is(err, membership.ErrMalformed) {
		t.Errorf("a cut invite: %v", err)
	}
	if err := Join(b, invite, guest); err != nil {
		t.Fatal(err)
	}
	if err := Join(b, invite, guest); err != nil {
		t.Errorf("join again: %v", err)
	}
	if _, err := Open(Config{Dir: b, Key: founder}); err != nil {
		t.Errorf("with another key: %v; want a swarm that says so in its status", err)
	}
	if s, err = Open(Config{Dir: a, Key: founder}); err != nil {
		t.Fatal(err)
	}
	s.Told(nil)
	if err := errors.Join(s.Leave(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: a, Key: founder}); !errors.Is(err, ErrNotPrivate) {
		t.Errorf("after leaving: %v", err)
	}
	if _, err := Create(a, "studio", keyfile, founder); err != nil {
		t.Errorf("with the same authority: %v", err)
	}
}

// Another swarm's invite does not move a directory from its swarm.
func TestJoinAnother(t *testing.T) {
	t.Parallel()
	var invites []string
	var dirs []string
	for i := range 2 {
		dir := t.TempDir()
		if _, err := Create(dir, "studio", "", testnet.Key(t, i)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir, Key: testnet.Key(t, i)})
		if err != nil {
			t.Fatal(err)
		}
		invites, dirs = append(invites, newInvite(t, s, membership.Member, time.Hour, 1)), append(dirs, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Join(dirs[0], invites[1], testnet.Key(t, 0)); err == nil {
		t.Error("joined another swarm in place")
	}
	if err := Join(dirs[0], invites[0], testnet.Key(t, 0)); err != nil {
		t.Errorf("an invite to its own swarm: %v", err)
	}
}

// A damaged state is told, not overwritten.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, text := range []string{"{", `{"version":9}`} {
		if err := os.WriteFile(statePath(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Dir: dir, Key: testnet.Key(t, 0)}); err == nil || errors.Is(err, ErrNotPrivate) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// 'node --join INVITE' is how a node is started every day: the invite may have
// ended since, the membership has not.
func TestJoinAgainAfterTheInvite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := t.TempDir(), t.TempDir()
		founder, guest := testnet.Key(t, 0), testnet.Key(t, 1)
		if _, err := Create(a, "studio", "", founder); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: a, Key: founder})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		invite := newInvite(t, s, membership.Member, time.Hour, 1)
		if err := Join(b, invite, guest); err != nil {
			t.Fatal(err)
		}
		st, err := load(b)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(guest.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		provisional, err := membership.ParseChain(st.Chain)
		if err != nil {
			t.Fatal(err)
		}
		_, chain, err := s.judge(id, provisional)
		if err != nil || chain == nil {
			t.Fatalf("not countersigned: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := Join(b, invite, guest); !errors.Is(err, membership.ErrExpired) {
			t.Errorf("still provisional: %v", err)
		}
		st.Chain = membership.AppendChain(nil, chain)
		if err := st.save(b); err != nil {
			t.Fatal(err)
		}
		if err := Join(b, invite, guest); err != nil {
			t.Errorf("a member since: %v", err)
		}
	})
}

// A private directory that loses its state is not open: it says what is missing,
// and goes on in the same swarm only.
func TestLostState(t *testing.T) {
	t.Parallel()
	a, b, dir := t.TempDir(), t.TempDir(), t.TempDir()
	founder, guest := testnet.Key(t, 0), testnet.Key(t, 1)
	var invites []string
	for _, d := range []string{a, b} {
		if _, err := Create(d, "studio", "", founder); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: d, Key: founder})
		if err != nil {
			t.Fatal(err)
		}
		invites = append(invites, newInvite(t, s, membership.Member, time.Hour, 1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Join(dir, invites[0], guest); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(statePath(dir)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: dir, Key: guest})
	if !errors.Is(err, ErrLost) || errors.Is(err, ErrNotPrivate) || !Exists(dir) {
		t.Errorf("without its state: %v", err)
	}
	if _, err := Create(dir, "mine", "", guest); err == nil {
		t.Error("a new swarm takes over what the lost one shared")
	}
	if err := Join(dir, invites[1], guest); !errors.Is(err, ErrLost) {
		t.Errorf("another swarm: %v", err)
	}
	if err := Join(dir, invites[0], guest); err != nil {
		t.Errorf("the same swarm: %v", err)
	}
	s, err := Open(Config{Dir: dir, Key: guest})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Leave(), s.Close()); err != nil || Exists(dir) {
		t.Errorf("leave: %v", err)
	}
}

// What was made before is not lost by joining again, and no ended invite to one
// swarm passes for a join in another.
func TestJoinAgainKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dirs, texts := []string{t.TempDir(), t.TempDir()}, []string{}
		key := testnet.Key(t, 0)
		for _, d := range dirs {
			if _, err := Create(d, "studio", "", key); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: d, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, newInvite(t, s, membership.Member, time.Hour, 1))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		if err := Join(dirs[0], texts[1], key); err == nil {
			t.Error("an ended invite to another swarm")
		}
		time.Sleep(membership.Founder)
		s, err := Open(Config{Dir: dirs[0], Key: testnet.Key(t, 0)})
		if err != nil {
			t.Fatal(err)
		}
		i, err := s.authority()
		if err != nil {
			t.Fatal(err)
		}
		var seed [membership.SeedSize]byte
		seed[0] = 1
		chain, err := i.Invite(time.Now(), seed, membership.Member, time.Hour, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := Join(dirs[0], membership.Token{Name: "studio", Chain: chain, Seed: seed}.String(), key); err != nil {
			t.Fatal(err)
		}
		st, err := load(dirs[0])
		if err != nil || st.Authority == "" || len(st.Invites) != 1 {
			t.Errorf("after joining again: %+v, %v", st, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A key that is left from an earlier swarm does not silently make it go on
// without its revocations.
func TestCreateBesideAKey(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), testnet.Key(t, 0)
	path, err := Create(dir, "studio", "", key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Leave(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "studio", "", key); err == nil {
		t.Error("the key is used again")
	}
	if _, err := Create(dir, "studio", path, key); err != nil {
		t.Errorf("by its name: %v", err)
	}
}
