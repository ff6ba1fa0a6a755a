package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	mh "github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/probe"
	"github.com/shoal-p2p/shoal/probe/nat"
)

// listens names the addresses that the node listens on.
func (n *Node) listens() []ma.Multiaddr {
	return slices.DeleteFunc(n.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool {
		_, err := manet.ToIP(a) // a relay's circuits have none
		return err != nil
	})
}

// judgePorts judges the ports and whether others reach them.
func judgePorts(listen []ma.Multiaddr, reachability string) Check {
	c := Check{Check: "ports", State: CheckOK, Detail: "listening on " + portWords(listen)}
	public, loopback := reachability == "public", true
	for _, a := range listen {
		loopback = loopback && manet.IsIPLoopback(a)
	}
	switch {
	case len(listen) == 0:
		c.State, c.Detail, c.Hint = CheckFailing, "listening nowhere", "give --listen, such as /ip4/0.0.0.0/tcp/7461"
	case loopback:
		c.Detail += ", on this machine only"
	case public:
		c.Detail += ", reached from outside"
	case reachability == "private":
		c.State, c.Detail = CheckWarning, c.Detail+", not reached from outside"
		c.Hint = "forward these ports on the router to this machine, or turn UPnP on there; until then others meet this node by hole punching and relays"
	default:
		c.State, c.Detail = CheckWarning, c.Detail+"; nobody outside has tried to reach them"
		c.Hint = "join a network with public nodes (--bootstrap), they try it"
	}
	return c
}

// portWords is "tcp 7461, quic-v1 7461" of some addresses, each once, in the same
// order whatever that of the addresses: libp2p has none.
func portWords(addrs []ma.Multiaddr) string {
	var words []string
	for _, a := range addrs {
		_, hostPort, err := manet.DialArgs(a)
		if err != nil {
			continue
		}
		_, port, _ := net.SplitHostPort(hostPort)
		if w := transportName(a) + " " + port; !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	slices.SortFunc(words, func(a, b string) int { return strings.Compare(b, a) })
	return strings.Join(words, ", ")
}

// judgeAddresses lists where peers see this node.
func judgeAddresses(talks []*probe.Talk) Check {
	c := Check{Check: "addresses", State: CheckOK}
	var seen []string
	for _, t := range talks {
		if s := t.Seen.String(); !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	if len(seen) == 0 {
		c.State, c.Detail, c.Hint = CheckWarning, "nobody has said where it sees this node", "connect to a peer (--bootstrap), which tells"
		return c
	}
	slices.Sort(seen)
	c.Detail = "seen by " + number(len(talks), "peer") + " at " + strings.Join(seen, ", ")
	return c
}

// number is "1 peer", "2 peers".
func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkPeers counts who is connected, by path.
func (n *Node) checkPeers() Check {
	by := map[string]int{}
	for _, s := range n.exchange.Sessions() {
		by[s.Path().String()]++
	}
	return judgePeers(by, n.known(), n.mdns != nil)
}

// known is the number of nodes to join through.
func (n *Node) known() int {
	ids := map[peer.ID]bool{}
	for _, p := range n.bootstrap() {
		ids[p.ID] = true
	}
	return len(ids)
}

func judgePeers(by map[string]int, known int, mdns bool) Check {
	c := Check{Check: "peers", State: CheckOK}
	all := by["lan"] + by["wan"] + by["relay"]
	switch {
	case all > 0:
		c.Detail = fmt.Sprintf("%s connected: %d on the LAN, %d over the internet, %d by relay", number(all, "peer"), by["lan"], by["wan"], by["relay"])
	case known > 0:
		c.State, c.Detail = CheckFailing, "none of "+number(known, "known node")+" answers"
		c.Hint = "check that one of them runs, its address, and that the firewall lets TCP and UDP out"
	default:
		c.State, c.Detail = CheckWarning, "no other node is known"
		c.Hint = "give --bootstrap, or open a link that somebody shares; on one LAN nodes find each other by mDNS"
		if !mdns {
			c.Hint += ", which is off here"
		}
	}
	return c
}

// judgeNAT judges the NAT, and whether enough peers could be asked to tell.
func judgeNAT(t nat.Type, f findings) Check {
	c := Check{Check: "nat", State: CheckOK, Detail: t.String()}
	helpers := 0
	for _, t := range f.talks {
		if t.Usable() {
			helpers++
		}
	}
	switch {
	case f.err != nil:
		c.State, c.Detail, c.Hint = CheckWarning, "not found out: "+f.err.Error(), "try again"
	case t.Mapping == nat.Blocked:
		c.State = CheckWarning
		c.Hint = "let UDP out in the firewall: QUIC and most hole punching need it; TCP and relays go on"
	case t.Mapping == nat.Dependent:
		c.State = CheckWarning
		c.Hint = "forward the ports on the router, or use another one: behind this kind few peers can be met directly, the rest by relay"
	case helpers < 2:
		c.State = CheckWarning
		c.Detail = fmt.Sprintf("not known: it takes two peers that are public, at two addresses, and there is %s", []string{"none", "one"}[helpers])
		c.Hint = "join a network with public nodes: --bootstrap of two that run with --relay"
	case t.Mapping == nat.MappingUnknown:
		c.State, c.Detail, c.Hint = CheckWarning, "not known: only one of "+number(helpers, "public peer")+" answers by UDP", "try again"
	}
	return c
}

// judgePunch says with whom a hole can be punched.
func judgePunch(t nat.Type, reachability string) Check {
	c := Check{Check: "punching", State: CheckOK}
	switch punch := t.Punch(); {
	case reachability == "public" || punch == nat.Needless:
		c.Detail = "not needed: others connect directly"
	case punch == nat.AlmostAll:
		c.Detail = "possible with all but those behind a symmetric NAT"
	case punch == nat.Some:
		c.State, c.Detail = CheckWarning, "possible only with peers that are public or behind an open NAT"
		c.Hint = "forward the ports on the router; a relay or an origin carries the rest"
	case punch == nat.None:
		c.State, c.Detail = CheckWarning, "not by UDP; by TCP with some"
		c.Hint = "let UDP out in the firewall"
	default:
		c.State, c.Detail = CheckWarning, "not known without the kind of NAT"
		c.Hint = "see nat"
	}
	return c
}

// relays are the relays by which this node is reached.
func (n *Node) relays() []string {
	var out []string
	for _, a := range n.host.Addrs() {
		if head, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT }); len(head) < len(a) {
			if id, err := head.ValueForProtocol(ma.P_P2P); err == nil && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

func judgeRelay(relays []string, reachability string) Check {
	c := Check{Check: "relay", State: CheckOK}
	switch {
	case len(relays) > 0:
		c.Detail = "reached over " + strings.Join(relays, ", ")
	case reachability == "public":
		c.Detail = "not needed: others connect directly"
	case reachability == "private":
		c.State, c.Detail = CheckWarning, "no relay: nobody outside can begin to meet this node"
		c.Hint = "join through a node that runs with --relay on a public machine"
	default:
		c.Detail = "none, and not known whether one is needed"
	}
	return c
}

// checkMDNS looks at the search for nodes on the LAN.
func (n *Node) checkMDNS() Check {
	switch {
	case n.cfg.MDNS.Off():
		return Check{Check: "mdns", State: CheckOK, Detail: "off, as configured"}
	case n.mdns == nil:
		return Check{Check: "mdns", State: CheckWarning, Detail: "its UDP port 5353 cannot be shared, so nodes on this LAN are not found",
			Hint: "see what holds it: 'ss -lunp sport = 5353'"}
	}
	heard := n.mdns.Heard()
	c := Check{Check: "mdns", State: CheckOK, Detail: "heard " + number(heard, "node") + " on this LAN"}
	if heard == 0 {
		c.Hint = "if there should be some: let UDP 5353 through their firewalls; guest Wi-Fi and most clouds carry no multicast"
	}
	return c
}

// checkDHT looks somebody up that nobody is.
func (n *Node) checkDHT(ctx context.Context) Check {
	ctx, cancel := context.WithTimeout(ctx, doctorLookup)
	defer cancel()
	size := n.kad.Size()
	if size == 0 {
		return judgeDHT(n.kad.Mode(), 0, n.known(), 0, false)
	}
	sum, err := mh.Sum([]byte(n.ID()+" doctor"), mh.SHA2_256, -1)
	if err != nil {
		return Check{Check: "dht", State: CheckFailing, Detail: err.Error()}
	}
	began := time.Now()
	for range n.router.Find(ctx, cid.NewCidV1(cid.Raw, sum), 0) { // nobody has it
	}
	return judgeDHT(n.kad.Mode(), size, 0, time.Since(began), ctx.Err() != nil)
}

func judgeDHT(mode string, size, known int, took time.Duration, late bool) Check {
	c := Check{Check: "dht", State: CheckOK, Detail: fmt.Sprintf("%s, %s in the routing table, a lookup takes %.2f s", mode, number(size, "peer"), took.Seconds())}
	switch {
	case size == 0 && known > 0:
		c.State, c.Detail = CheckWarning, mode+", the routing table is empty: no known node answers as a server of the DHT"
		c.Hint = "see peers"
	case size == 0:
		c.State, c.Detail, c.Hint = CheckWarning, mode+", the routing table is empty", "give --bootstrap; see peers"
	case late:
		c.State, c.Detail = CheckWarning, fmt.Sprintf("%s, %s in the routing table, a lookup had no end after %.0f s", mode, number(size, "peer"), took.Seconds())
		c.Hint = "most of those peers do not answer: join through others"
	}
	return c
}

// proxies are the variables that name one, the first of each that is set.
func proxies() map[string]string {
	out := map[string]string{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"} {
		for _, n := range []string{name, strings.ToLower(name)} {
			if v := os.Getenv(n); v != "" && out[name] == "" {
				out[name] = v
			}
		}
	}
	return out
}

// checkProxy looks at the proxy of the environment.
func (n *Node) checkProxy(ctx context.Context) Check {
	set := proxies()
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: "cdn.example.com"}})
	if err == nil && u != nil {
		d := net.Dialer{Timeout: 3 * time.Second}
		var conn net.Conn
		if conn, err = d.DialContext(ctx, "tcp", hostPort(u)); err == nil {
			conn.Close()
		}
	}
	return judgeProxy(set, u, err, len(n.host.Network().Conns()))
}

// hostPort is the address of a proxy.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// judgeProxy judges the proxy of some variables, with so many connections to peers.
func judgeProxy(set map[string]string, u *url.URL, err error, conns int) Check {
	c := Check{Check: "proxy", State: CheckOK, Detail: "none in the environment"}
	switch {
	case u == nil && err == nil && len(set) == 0:
	case u == nil && err == nil:
		c.Detail = "none for https in the environment"
	case err != nil:
		c.State, c.Detail = CheckFailing, "the proxy of the environment: "+err.Error()
		c.Hint = "set HTTPS_PROXY right, or unset it"
		if u != nil {
			c.Detail = "the proxy " + u.Host + " does not answer: " + err.Error()
		}
	default:
		c.Detail = "origins and WebSocket go through " + u.Host
		if conns == 0 {
			c.State = CheckWarning
			c.Hint = "where only the proxy gets out, origins are reached (--origin), and peers that listen for WebSocket; see websocket"
		}
	}
	return c
}
