package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

func create(name string) func(*Config) { return func(c *Config) { c.Create = name } }
func join(invite string) func(*Config) { return func(c *Config) { c.Join = invite } }
func in(dir string) func(*Config)      { return func(c *Config) { c.Dir = dir } }

func invite(t testing.TB, n *Node) string {
	t.Helper()
	text, err := n.SwarmInvite(t.Context(), InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// One node makes a swarm, two join by its invite, and each gets what the others
// share, over TCP and over QUIC. A node of the open swarm that has the address
// gets nothing.
func TestPrivateSwarm(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := func(c *Config) { c.Listen = []string{listen} }
			a := start(t, on, create("studio"))
			text := invite(t, a)
			b, c := start(t, on, join(text)), start(t, on, join(text))
			data := noise(1, 3*mib+5)
			target := share(t, a, put(t, "film.bin", data), AddOptions{})
			mustGet(t, b, target, FetchOptions{}, data)
			mustGet(t, c, target, FetchOptions{}, data)
			more := noise(2, mib+9)
			mustGet(t, a, share(t, c, put(t, "cut.bin", more), AddOptions{}), FetchOptions{}, more)

			soon(t, "every member is countersigned and in every table", func() bool {
				for _, n := range []*Node{a, b, c} {
					st, err := n.Status(t.Context())
					must(t, err)
					if st.Swarm.Name != "studio" || !st.Swarm.Private || st.Swarm.Provisional || st.DHT.RoutingTable != 2 {
						return false
					}
				}
				return true
			})
			for _, id := range a.host.Mux().Protocols() {
				if strings.HasPrefix(string(id), "/shoal/") && !strings.HasPrefix(string(id), a.private.Prefix()+"/") {
					t.Errorf("%s is a protocol of the open swarm", id)
				}
			}
			stranger := start(t, on)
			opt := from(a)
			opt.Timeout = 3 * time.Second
			_, err := get(t, stranger, target, opt)
			as[*UnavailableError](t, err)
			soon(t, "the stranger is disconnected", func() bool {
				return a.host.Network().Connectedness(stranger.self) == network.NotConnected
			})
			members, err := a.SwarmMembers(t.Context())
			must(t, err)
			if len(members) != 3 || !members[0].Self || strings.Contains(members[0].ID, stranger.ID()) {
				t.Errorf("members are %+v", members)
			}
		})
	}
}

// A member is used as a relay if it has that role.
func TestRelayRole(t *testing.T) {
	t.Parallel()
	a := start(t, create("studio"))
	special, err := a.SwarmInvite(t.Context(), InviteOptions{Roles: "relay"})
	must(t, err)
	b, c := start(t, join(invite(t, a))), start(t, join(special))
	soon(t, "all are admitted, and those with the role relay", func() bool {
		return b.private.Relays(a.self) && a.private.Relays(c.self) && a.private.Admitted(b.self)
	})
	if a.private.Relays(b.self) {
		t.Error("a plain member is asked to relay")
	}
}

// A revoked member gets nothing any more, from anybody, and is told why.
func TestRevokedMember(t *testing.T) {
	t.Parallel()
	a := start(t, create("studio"))
	text := invite(t, a)
	b, out := start(t, join(text)), start(t, join(text))
	data := noise(3, mib)
	target := share(t, b, put(t, "film.bin", data), AddOptions{})
	mustGet(t, out, target, from(b), data)
	must(t, a.SwarmRevoke(t.Context(), []string{out.ID()}))
	for _, n := range []*Node{a, b} {
		soon(t, "the revoked member is disconnected", func() bool {
			return n.host.Network().Connectedness(out.self) == network.NotConnected
		})
	}
	more := share(t, b, put(t, "more.bin", noise(4, mib)), AddOptions{})
	opt := from(b, a)
	opt.Timeout = 3 * time.Second
	_, err := get(t, out, more, opt)
	as[*UnavailableError](t, err)
	if err := a.SwarmRevoke(t.Context(), []string{a.ID()}); !errors.Is(err, ErrUsage) {
		t.Errorf("a node revokes itself: %v", err)
	}
	if err := a.SwarmRevoke(t.Context(), []string{text}); err != nil {
		t.Errorf("an invite: %v", err)
	}
	if err := b.SwarmRevoke(t.Context(), []string{a.ID()}); !errors.Is(err, membership.ErrRole) {
		t.Errorf("a plain member revokes: %v", err)
	}
	soon(t, "the invite's end is known", func() bool {
		st, err := b.Status(t.Context())
		must(t, err)
		return st.Swarm.Sequence == 2
	})
}

// What is shared openly never becomes private by a flag, nor the other way round.
func TestOpenAndPrivateDirectories(t *testing.T) {
	t.Parallel()
	a := start(t, create("studio"))
	text := invite(t, a)
	open := start(t)
	target := share(t, open, put(t, "open.bin", noise(5, 100)), AddOptions{})
	dir := open.cfg.Dir
	must(t, open.Close())
	for _, change := range []func(*Config){create("mine"), join(text)} {
		_, err := Start(t.Context(), configOf(t, in(dir), change))
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--swarm") {
			t.Errorf("in a directory that shares openly: %v", err)
		}
	}
	if Private(dir) {
		t.Error("the directory is private now")
	}
	_ = target

	// The same flags again are no error; another swarm's are.
	private := a.cfg.Dir
	must(t, a.Close())
	again := start(t, in(private), create("studio"))
	share(t, again, put(t, "secret.bin", noise(6, 100)), AddOptions{})
	must(t, again.Close())
	if _, err := Start(t.Context(), configOf(t, in(private), create("other"))); !errors.Is(err, ErrUsage) {
		t.Errorf("another name: %v", err)
	}
	// Who leaves shares nothing openly by that, and asks none of the members.
	must(t, os.WriteFile(peersPath(private), []byte("{}"), 0o600))
	name, roots, err := LeaveSwarm(t.Context(), configOf(t, in(private)))
	if err != nil || name != "studio" || roots != 1 {
		t.Fatalf("leave: %q, %d roots, %v", name, roots, err)
	}
	if _, err := os.Stat(peersPath(private)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("who was met in the swarm is remembered: %v", err)
	}
	left := start(t, in(private))
	st, err := left.Status(t.Context())
	must(t, err)
	if st.Swarm.Private || len(st.Roots) != 0 {
		t.Errorf("after leaving: %+v", st)
	}
	if _, err := left.SwarmInvite(t.Context(), InviteOptions{}); !errors.Is(err, ErrUsage) {
		t.Errorf("an invite to the open swarm: %v", err)
	}
}

// configOf is what start would run.
func configOf(t testing.TB, change ...func(*Config)) Config {
	cfg := Config{Dir: t.TempDir(), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, MDNS: "off", PortMap: "off", Version: "test"}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

// A node of two swarms, each in its own directory, has a root in one of them only.
func TestTwoSwarms(t *testing.T) {
	t.Parallel()
	a, b := start(t, create("one")), start(t, create("two"))
	both := t.TempDir()
	inA, inB := start(t, in(filepath.Join(both, "a")), join(invite(t, a))), start(t, in(filepath.Join(both, "b")), join(invite(t, b)))
	target := share(t, inA, put(t, "one.bin", noise(7, mib)), AddOptions{})
	mustGet(t, a, target, FetchOptions{}, noise(7, mib))
	opt := from(inA, inB)
	opt.Timeout = 3 * time.Second
	_, err := get(t, b, target, opt)
	as[*UnavailableError](t, err)
}

func TestSwarmDir(t *testing.T) {
	t.Parallel()
	got, err := SwarmDir("/d", "studio")
	if err != nil || got != filepath.Join("/d", "swarms", "studio") {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []string{"", "..", "a/b", "-x"} {
		if _, err := SwarmDir("/d", name); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The invite is nowhere in what config shows.
func TestInviteIsSecret(t *testing.T) {
	t.Parallel()
	a := start(t, create("studio"))
	text := invite(t, a)
	_, settings, err := Load(t.TempDir(), func(k string) (string, bool) { return text, k == "SHOAL_JOIN" }, nil)
	must(t, err)
	for _, s := range settings {
		if strings.Contains(s.Value, "shoal-invite") {
			t.Errorf("%s shows the invite", s.Key)
		}
	}
	_, _, err = Load(t.TempDir(), noEnv, map[string][]string{"join": {text[:len(text)-2]}})
	if !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "shoal-invite-C") {
		t.Errorf("a cut invite: %v", err)
	}
}

// The verbs of swarms over the socket.
func TestSwarmClient(t *testing.T) {
	t.Parallel()
	f := &fakeAPI{}
	c := serve(t, f)
	text, err := c.SwarmInvite(t.Context(), InviteOptions{Uses: 3, Roles: "cache", Expires: time.Hour})
	if want := "invite 3 cache 1h0m0s"; err != nil || strings.ReplaceAll(text, "cache", " cache ") != want {
		t.Errorf("got %q, %v; want %q", text, err, want)
	}
	members, err := c.SwarmMembers(t.Context())
	if err != nil || len(members) != 2 || members[1].ID != "b" {
		t.Errorf("got %+v, %v", members, err)
	}
	if err := c.SwarmRevoke(t.Context(), []string{"x", "y"}); err != nil || f.added != "x y" {
		t.Errorf("got %q, %v", f.added, err)
	}
	f.fail = errOpen
	if err := c.SwarmRevoke(t.Context(), nil); !errors.Is(err, ErrUsage) {
		t.Errorf("got %v", err)
	}
}
