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
	if st := s.Status(); st.Err != nil || !st.HasKey || st.Membership.Roles != membership.AllRoles {
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
