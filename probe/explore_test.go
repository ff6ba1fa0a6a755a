package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/shoal-p2p/shoal/internal/testnet"
	"github.com/shoal-p2p/shoal/probe/nat"
)

// lab is an asker and servers: their streams run over testnet, their packets
// through a world.
type lab struct {
	w       *world
	hosts   []libp2phost.Host // the asker first
	servers []*Server
}

// newLab starts servers, the first `open` of them open, and connects the asker to all.
func newLab(t *testing.T, servers, open int) *lab {
	t.Helper()
	l := &lab{w: newWorld(), hosts: testnet.New(t, 1+servers, testnet.Config{})}
	for i, h := range l.hosts[1:] {
		at := l.w.host(l.addr(1+i), nil)
		s, err := Serve(h, Config{
			Sockets: []net.PacketConn{at.bind(7461)}, Network: at, Open: func() bool { return i < open },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		l.servers = append(l.servers, s)
	}
	testnet.Connect(t, l.hosts[0], l.hosts[1:]...)
	return l
}

// addr is the address of a host on both networks.
func (l *lab) addr(i int) string {
	ip, _ := manet.ToIP(l.hosts[i].Addrs()[0])
	return ip.String()
}

// ask opens a conversation with every server.
func (l *lab) ask(ctx context.Context, t *testing.T) []*Talk {
	t.Helper()
	var talks []*Talk
	for _, h := range l.hosts[1:] {
		talk, err := Ask(ctx, l.hosts[0], "", h.ID())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(talk.Close)
		talks = append(talks, talk)
	}
	return talks
}

// Every NAT is told by two peers; one tells less, and none nothing.
func TestExplore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		servers, open int
		mapping       nat.Mapping
		filtering     nat.Filtering
		want          nat.Type
		punch         nat.Punch
	}{
		{2, 2, nat.Direct, nat.Open, nat.Type{Mapping: nat.Direct, Filtering: nat.Open}, nat.Needless},
		{2, 2, nat.Direct, nat.ByPort, nat.Type{Mapping: nat.Direct, Filtering: nat.ByPort}, nat.AlmostAll},
		{2, 2, nat.Independent, nat.Open, nat.Type{Mapping: nat.Independent, Filtering: nat.Open}, nat.Needless},
		{2, 2, nat.Independent, nat.ByAddress, nat.Type{Mapping: nat.Independent, Filtering: nat.ByAddress}, nat.AlmostAll},
		{2, 2, nat.Independent, nat.ByPort, nat.Type{Mapping: nat.Independent, Filtering: nat.ByPort}, nat.AlmostAll},
		{2, 2, nat.Dependent, nat.ByAddress, nat.Type{Mapping: nat.Dependent, Filtering: nat.ByAddress}, nat.Some},
		{2, 2, nat.Dependent, nat.ByPort, nat.Type{Mapping: nat.Dependent, Filtering: nat.ByPort}, nat.Some},
		{2, 2, nat.Blocked, nat.ByPort, nat.Type{Mapping: nat.Blocked}, nat.None},
		{3, 3, nat.Independent, nat.ByPort, nat.Type{Mapping: nat.Independent, Filtering: nat.ByPort}, nat.AlmostAll},
		{2, 1, nat.Independent, nat.ByPort, nat.Type{Filtering: nat.ByPort}, nat.PunchUnknown},
		{2, 0, nat.Independent, nat.ByPort, nat.Type{}, nat.PunchUnknown},
		{1, 1, nat.Direct, nat.Open, nat.Type{Mapping: nat.Direct}, nat.AlmostAll},
	} {
		t.Run(fmt.Sprintf("%d of %d, %v", tt.open, tt.servers, nat.Type{Mapping: tt.mapping, Filtering: tt.filtering}), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, tt.servers, tt.open)
				inside := "192.168.1.5"
				if tt.mapping == nat.Direct {
					inside = l.addr(0)
				}
				began := time.Now()
				me := l.w.host(inside, l.w.box(l.addr(0), tt.mapping, tt.filtering))
				o, err := Explore(t.Context(), me, l.ask(t.Context(), t))
				if err != nil {
					t.Fatal(err)
				}
				got := nat.Classify(o)
				if tt.open == 1 && tt.mapping == nat.Direct { // nobody it has not sent to is there
					tt.want.Filtering = nat.FilteringUnknown
				}
				if got != tt.want || got.Punch() != tt.punch {
					t.Errorf("got %v (%+v), punch %v; want %v, %v", got, o, got.Punch(), tt.want, tt.punch)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A peer says where it sees us and what time it has, and where it takes UDP.
func TestLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, 1)
		talk := l.ask(t.Context(), t)[0]
		want := netip.AddrPortFrom(netip.MustParseAddr(l.addr(1)), 7461)
		if !talk.Seen.Equal(l.hosts[0].Addrs()[0]) || !talk.Open || !talk.Usable() || talk.UDP != want || talk.Peer != l.hosts[1].ID() {
			t.Errorf("got %+v", talk)
		}
		if talk.RTT != 20*time.Millisecond || talk.Ahead.Abs() > 2*time.Millisecond {
			t.Errorf("RTT %v, its clock ahead by %v", talk.RTT, talk.Ahead)
		}
	})
}

// Packets go to nobody but the asker, and to no low port.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, 1)
		talk := l.ask(t.Context(), t)[0]
		mine := netip.MustParseAddr(l.addr(0))
		for to, want := range map[netip.AddrPort]Status{
			netip.AddrPortFrom(mine, 2000):                              Sending,
			netip.AddrPortFrom(mine, 1023):                              NotYours,
			netip.AddrPortFrom(mine.Next(), 2000):                       NotYours,
			netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 2000):  NotYours,
			netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), 200): NotYours,
		} {
			before := l.w.packets()
			got, err := talk.request(send{to: to})
			if err != nil || got != want {
				t.Errorf("%v: got %v, %v; want %v", to, got, err, want)
			}
			time.Sleep(time.Second)
			if n := l.w.packets() - before; (n == packets) != (want == Sending) || n > packets {
				t.Errorf("%v: %d packets were sent", to, n)
			}
		}
	})
}

// One asker gets so many packets, whatever streams it opens, and an answer to a
// token so often; what is no packet of ours, or has no token, gets none.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, 1)
		to := netip.AddrPortFrom(netip.MustParseAddr(l.addr(0)), 2000)
		granted := 0
		for range 4 {
			talk := l.ask(t.Context(), t)[0]
			for range 5 {
				if got, err := talk.request(send{to: to}); err == nil && got == Sending {
					granted++
				}
			}
		}
		if most := sendsBurst + int(20*time.Second/sendsEvery); granted < sendsBurst || granted > most {
			t.Errorf("%d of 20 requests were granted, want %d to %d", granted, sendsBurst, most)
		}
		talk := l.ask(t.Context(), t)[0]
		c := l.w.host("9.9.9.9", nil).bind(5000)
		server := net.UDPAddrFromAddrPort(talk.UDP)
		ask := appendPacket(nil, packet{kind: packetAsk, token: talk.token})
		other := appendPacket(nil, packet{kind: packetAsk})
		for _, b := range [][]byte{other, ask[:63], append(ask[:64:64], 0), append([]byte{'q'}, ask[1:]...)} {
			c.WriteTo(b, server)
		}
		synctest.Wait()
		if n := len(c.packets); n != 0 {
			t.Errorf("%d answers to what deserves none", n)
		}
		for range 20 {
			c.WriteTo(ask, server)
		}
		synctest.Wait()
		if n := len(c.packets); n != maxAnswers {
			t.Errorf("%d answers to one token, want %d", n, maxAnswers)
		}
		time.Sleep(tokenLife)
		late := l.ask(t.Context(), t)[0]
		time.Sleep(tokenLife + time.Second)
		before := len(c.packets)
		c.WriteTo(appendPacket(nil, packet{kind: packetAsk, token: late.token}), server)
		synctest.Wait()
		if n := len(c.packets); n != before {
			t.Error("an old token is answered")
		}
	})
}

// A stream that says nothing ends by itself, and so do too many at a time.
func TestServerStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, 1)
		open := func() error {
			st, err := l.hosts[0].NewStream(t.Context(), l.hosts[1].ID(), Protocol(""))
			if err != nil {
				return err
			}
			_, err = st.Write(appendMessage(nil, kindLook, nil))
			return err
		}
		for range maxStreams {
			if err := open(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if talk, err := Ask(t.Context(), l.hosts[0], "", l.hosts[1].ID()); err == nil {
			talk.Close()
			t.Errorf("stream %d is answered", maxStreams+1)
		}
		time.Sleep(streamLife)
		l.ask(t.Context(), t)
	})
}

// Ask does not dial, and ends with its context.
func TestAskNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{})
		if _, err := Ask(t.Context(), hosts[0], "", hosts[1].ID()); err == nil {
			t.Error("a peer that is not connected was asked")
		}
		testnet.Connect(t, hosts[0], hosts[1])
		if _, err := Ask(t.Context(), hosts[0], "", hosts[1].ID()); err == nil {
			t.Error("a peer without the protocol answered")
		}
	})
}

func TestUDPOf(t *testing.T) {
	t.Parallel()
	id, err := peer.Decode("12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5")
	if err != nil {
		t.Fatal(err)
	}
	for from, tt := range map[string]struct {
		told []string
		want string
	}{
		"/ip4/11.0.0.2/tcp/7461": {[]string{"/ip4/11.0.0.9/udp/1/quic-v1", "/ip4/11.0.0.2/udp/7462/quic-v1"}, "11.0.0.2:7462"},
		"/ip4/11.0.0.3/tcp/7461": {[]string{"/ip4/192.168.1.1/udp/1/quic-v1", "/ip4/11.0.0.9/udp/2/quic-v1", "/ip4/11.0.0.8/udp/2/quic-v1"}, "11.0.0.9:2"},
		"/ip4/11.0.0.4/tcp/7461": {[]string{"/ip4/11.0.0.4/tcp/7461", "/ip6/2a00::1/udp/1/quic-v1", "/ip4/11.0.0.4/udp/1/quic-v1/p2p/" + id.String() + "/p2p-circuit"}, "invalid AddrPort"},
	} {
		var told []ma.Multiaddr
		for _, s := range tt.told {
			told = append(told, ma.StringCast(s))
		}
		if got := udpOf(ma.StringCast(from), told); got.String() != tt.want {
			t.Errorf("from %s, told %q: got %v, want %s", from, tt.told, got, tt.want)
		}
	}
}
