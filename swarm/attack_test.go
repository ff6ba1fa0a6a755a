package swarm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// attack lets a stranger, connected to a member that met another one, write bytes
// on an admission stream. The member must disconnect it within 5 s without having
// admitted it, and answer with a refusal for the reason wanted if there is one.
func attack(t *testing.T, name string, bytes func(t *testing.T, p *place) []byte, want error) {
	t.Helper()
	bubble(t, name, func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: 2})
		mallory, m := p.strangers[0], p.members[0]
		meet(t, p.members[1], m)
		b := bytes(t, p)
		meet(t, mallory, m)
		st, err := mallory.NewStream(t.Context(), m.raw.ID(), m.s.protocol())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(b); err != nil {
			t.Fatal(err)
		}
		if got := refusalOn(st); !errors.Is(got, want) && want != nil {
			t.Errorf("answered with %v, want %v", got, want)
		}
		gone(t, m.raw, mallory.raw, admitTimeout)
		if m.s.Admitted(mallory.raw.ID()) {
			t.Error("admitted")
		}
		if m.s.Status().Sequence != 0 {
			t.Error("a stranger was listened to")
		}
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		if m.s.st.Members[mallory.raw.ID().String()] != nil {
			t.Error("remembered as a member")
		}
	})
}

// refusalOn reads what a member answers up to its verdict.
func refusalOn(st network.Stream) error {
	r := bufio.NewReader(st)
	for {
		k, body, err := readMessage(r, kindHello, kindList, kindWelcome, kindRefuse)
		switch {
		case err != nil:
			return err
		case k == kindRefuse:
			return reasonOf(body[0])
		case k == kindWelcome:
			return nil
		}
	}
}

func helloOf(c membership.Chain) []byte {
	return appendMessage(nil, kindHello, appendHello(nil, hello{chain: c}))
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	type f = func(t *testing.T, p *place) []byte
	chainOf := func(n *node) membership.Chain {
		n.s.mu.Lock()
		defer n.s.mu.Unlock()
		return n.s.chain
	}
	for _, c := range []struct {
		name  string
		bytes f
		want  error
	}{
		{"no credential", func(*testing.T, *place) []byte { return helloOf(nil) }, membership.ErrNone},
		{"stolen credential, other key", func(_ *testing.T, p *place) []byte { return helloOf(chainOf(p.members[1])) }, membership.ErrPeer},
		{"replayed handshake", func(t *testing.T, p *place) []byte { return recorded(t, p) }, membership.ErrPeer},
		{"wrong swarm", func(t *testing.T, p *place) []byte { return helloOf(foreign(t, p.strangers[0])) }, membership.ErrSwarm},
		{"the invite as a membership", func(t *testing.T, p *place) []byte {
			tok, err := membership.ParseToken(newInvite(t, p.members[0].s, membership.Member, 0, 1))
			if err != nil {
				t.Fatal(err)
			}
			return helloOf(tok.Chain)
		}, membership.ErrChain},
		{"oversized hello", func(*testing.T, *place) []byte {
			return appendMessage(nil, kindHello, make([]byte, maxHello+1))
		}, nil},
		{"oversized length", func(*testing.T, *place) []byte { return binary.AppendUvarint(nil, 1<<40) }, nil},
		{"oversized list", func(*testing.T, *place) []byte {
			return appendMessage(nil, kindList, make([]byte, membership.MaxList))
		}, nil},
		{"a list instead of a hello", func(t *testing.T, p *place) []byte {
			m := p.members[0].s
			m.mu.Lock()
			defer m.mu.Unlock()
			by, err := m.revoker()
			if err != nil {
				t.Fatal(err)
			}
			r := membership.Register{Swarm: m.id}
			if err := r.Revoke(time.Now(), by, p.members[1].raw.ID()); err != nil {
				t.Fatal(err)
			}
			return appendMessage(nil, kindList, r.Raw())
		}, nil},
		{"half-open: nothing", func(*testing.T, *place) []byte { return nil }, nil},
		{"half-open: a part", func(_ *testing.T, p *place) []byte { return helloOf(chainOf(p.members[1]))[:100] }, nil},
		{"noise", func(*testing.T, *place) []byte { return []byte{5, 9, 9, 9, 9, 9} }, nil},
	} {
		attack(t, c.name, c.bytes, c.want)
	}
}

// A stranger that dials is refused before it is shown anything, and before any
// list passes, whatever it says of its own.
func TestStrangerGetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{strangers: 1, members: 2})
		mallory, m := p.strangers[0], p.members[0]
		if err := m.s.Revoke(p.members[1].raw.ID()); err != nil {
			t.Fatal(err)
		}
		if err := mallory.raw.Connect(t.Context(), testnet.Info(m.raw)); err != nil {
			t.Fatal(err)
		}
		st, err := mallory.NewStream(t.Context(), m.raw.ID(), m.s.protocol())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(helloOf(nil)); err != nil {
			t.Fatal(err)
		}
		k, body, err := readMessage(bufio.NewReader(st), kindHello, kindList, kindWelcome, kindRefuse)
		if err != nil || k != kindRefuse || !errors.Is(reasonOf(body[0]), membership.ErrNone) {
			t.Errorf("a stranger is answered with kind %d, %v", k, err)
		}
		gone(t, m.raw, mallory.raw, admitTimeout)
	})
}

// recorded is what a member says in a handshake, as somebody it dialled hears it.
func recorded(t *testing.T, p *place) []byte {
	t.Helper()
	m := p.members[1]
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	b := helloOf(m.s.chain)
	return appendMessage(b, kindWelcome, nil)
}

// foreign is a membership of n in a swarm of its own.
func foreign(t *testing.T, n *node) membership.Chain {
	t.Helper()
	key := n.raw.Peerstore().PrivKey(n.raw.ID())
	dir := t.TempDir()
	if _, err := Create(dir, "other", "", key); err != nil {
		t.Fatal(err)
	}
	st, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := membership.ParseChain(st.Chain)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A member that offers an older list than is known does not move anybody back.
func TestOlderList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 3})
		founder, a, b := p.members[0], p.members[1], p.members[2]
		meet(t, a, founder)
		other := testnet.Key(t, 40)
		id, err := peer.IDFromPublicKey(other.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		if err := founder.s.Revoke(id); err != nil {
			t.Fatal(err)
		}
		old := founder.s.reg.Raw()
		time.Sleep(time.Second)
		if err := founder.s.Revoke(b.raw.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := a.s.learn(old, founder.raw.ID()); !errors.Is(err, membership.ErrStale) {
			t.Errorf("the older list: %v", err)
		}
		if !a.s.isRevoked(b.raw.ID()) || a.s.Status().Sequence != 2 {
			t.Errorf("the list is %d", a.s.Status().Sequence)
		}
		if err := b.Connect(t.Context(), testnet.Info(a.raw)); err == nil {
			t.Error("back by an older list")
		}
	})
}

// All that a stranger gets at is identify, ping and admission, whatever protocols
// the host has, those too that libp2p registers itself.
func TestOpenProtocols(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, options{members: 1, host: func(int, *Swarm) []libp2p.Option {
			return []libp2p.Option{libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(), libp2p.EnableNATService()}
		}})
		m := p.members[0]
		ids := m.raw.Mux().Protocols()
		if len(ids) < 7 {
			t.Fatalf("the host has only %v", ids)
		}
		open := 0
		for _, id := range ids {
			st := &inbound{Stream: fakeStream{}, s: m.s}
			if st.SetProtocol(id) == nil {
				open++
				if id != identify.ID && id != identify.IDPush && id != ping.ID && id != m.s.protocol() {
					t.Errorf("%s is open to strangers", id)
				}
			}
		}
		if open != 4 {
			t.Errorf("%d protocols are open, want 4", open)
		}
	})
}

type fakeStream struct{ network.Stream }

func (fakeStream) Conn() network.Conn            { return fakeConn{remote: "stranger"} }
func (fakeStream) SetProtocol(protocol.ID) error { return nil }

// A relay that is a member carries strangers no further, and where it does, the
// stranger is a stranger at the other end.
func TestRelay(t *testing.T) {
	t.Parallel()
	for name, honest := range map[string]bool{"honest relay": true, "relay without rules": false} {
		bubble(t, name, func(t *testing.T) {
			p := newPlace(t, options{strangers: 1, members: 3, change: func(_ int, c *Config) {
				if !honest {
					c.leak = "/libp2p/circuit/relay/0.2.0/hop"
				}
			}, host: func(i int, s *Swarm) []libp2p.Option {
				if i > 0 {
					return nil
				}
				opts := []relay.Option{}
				if honest {
					opts = append(opts, relay.WithACL(s.ACL()))
				}
				return []libp2p.Option{libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(opts...)}
			}})
			mallory, r, m, other := p.strangers[0], p.members[0], p.members[1], p.members[2]
			meet(t, m, r)
			meet(t, other, r)
			if _, err := client.Reserve(t.Context(), m.raw, testnet.Info(r.raw)); err != nil {
				t.Fatalf("a member reserves: %v", err)
			}
			via := peer.AddrInfo{ID: m.raw.ID(), Addrs: []ma.Multiaddr{
				testnet.Info(r.raw).Addrs[0].Encapsulate(ma.StringCast("/p2p/" + r.raw.ID().String() + "/p2p-circuit"))}}
			limited := network.WithAllowLimitedConn(t.Context(), "test")
			if err := other.Connect(limited, via); err != nil {
				t.Fatalf("a member by relay: %v", err)
			}
			time.Sleep(time.Second) // the answer to the answer
			if !m.s.Admitted(other.raw.ID()) {
				t.Error("a member is not admitted by relay")
			}
			meet(t, mallory, r)
			ctx, cancel := context.WithTimeout(limited, 20*time.Second)
			defer cancel()
			err := mallory.Connect(ctx, via)
			if (err == nil) == honest {
				t.Errorf("the stranger's way by relay: %v", err)
			}
			if err == nil {
				st, err := mallory.NewStream(ctx, m.raw.ID(), echo)
				if err == nil {
					_, _ = st.Write([]byte{7})
					_ = st.SetDeadline(time.Now().Add(6 * time.Second))
					if _, err := io.ReadFull(st, make([]byte, 1)); err == nil {
						t.Error("a stranger gets through by relay")
					}
				}
			}
			gone(t, m.raw, mallory.raw, admitTimeout+time.Second)
		})
	}
}
