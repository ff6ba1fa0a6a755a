package dht

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/dns/dnsmessage"
)

// The messages are those of libp2p's mDNS discovery (specs/discovery/mdns.md): a
// node asks for the PTR record of the service; the answer names an instance,
// whose TXT record has a string "dnsaddr=MULTIADDR" for each address.
const (
	dnsaddr = "dnsaddr="
	// mdnsTTL is how long others may believe an answer, in seconds.
	mdnsTTL = 120
	// cacheFlush marks a record that only its owner sends (RFC 6762, 10.2).
	cacheFlush = 1 << 15
	// mdnsRoom is what the addresses of one answer may take, so that the packet
	// fits an Ethernet frame: larger ones are lost on many networks.
	mdnsRoom = 1100
	// maxMDNSAddrs and maxMDNSPeers bound what is taken from one packet.
	maxMDNSAddrs = 16
	maxMDNSPeers = 16
)

// mdnsQuery asks who offers service, a full name such as "_shoal._udp.local.".
func mdnsQuery(service string) ([]byte, error) {
	name, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("mdns service %q: %w", service, err)
	}
	return (&dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET},
	}}).Pack()
}

// mdnsAnswer says that p offers service under the name instance. Addresses that
// have no room are left out, from the end. A ttl of zero takes the answer back.
func mdnsAnswer(service, instance string, p peer.AddrInfo, ttl uint32) ([]byte, error) {
	ptr, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("mdns service %q: %w", service, err)
	}
	own, err := dnsmessage.NewName(instance + "." + service)
	if err != nil {
		return nil, fmt.Errorf("mdns instance %q: %w", instance, err)
	}
	var txt dnsmessage.TXTResource
	room := mdnsRoom
	for _, a := range p.Addrs {
		s := dnsaddr + a.String() + "/p2p/" + p.ID.String()
		if len(s) > 255 || len(s)+1 > room {
			continue
		}
		room -= len(s) + 1
		txt.TXT = append(txt.TXT, s)
	}
	if len(txt.TXT) == 0 {
		return nil, fmt.Errorf("mdns: no address to tell")
	}
	return (&dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: ptr, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   &dnsmessage.PTRResource{PTR: own},
		}},
		Additionals: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: own, Class: dnsmessage.ClassINET | cacheFlush, TTL: ttl},
			Body:   &txt,
		}},
	}).Pack()
}

// mdnsHeard is what one packet says about a service.
type mdnsHeard struct {
	asked bool            // somebody asks who offers it
	here  []peer.AddrInfo // who offers it, with at least one address each
	gone  []peer.ID       // who no longer does
}

// parseMDNS reads a packet that anybody on the network may have sent. Records of
// other services are skipped. Addresses other than near ones are dropped: mDNS
// is about this network, and nobody on it shall make us dial out.
func parseMDNS(b []byte, service string, onLink []netip.Prefix) (mdnsHeard, error) {
	var heard mdnsHeard
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return heard, fmt.Errorf("mdns packet: %w", err)
	}
	if !m.Response {
		heard.asked = slices.ContainsFunc(m.Questions, func(q dnsmessage.Question) bool {
			return (q.Type == dnsmessage.TypePTR || q.Type == dnsmessage.TypeALL) &&
				strings.EqualFold(q.Name.String(), service)
		})
		return heard, nil
	}
	suffix := strings.ToLower("." + service)
	for _, r := range slices.Concat(m.Answers, m.Additionals) {
		txt, ok := r.Body.(*dnsmessage.TXTResource)
		if !ok || !strings.HasSuffix(strings.ToLower(r.Header.Name.String()), suffix) {
			continue
		}
		p, ok := txtPeer(txt.TXT, onLink)
		switch {
		case !ok || len(heard.here)+len(heard.gone) == maxMDNSPeers:
		case r.Header.TTL == 0:
			heard.gone = append(heard.gone, p.ID)
		case len(p.Addrs) > 0:
			heard.here = append(heard.here, p)
		}
	}
	return heard, nil
}

// txtPeer reads the one peer that a TXT record is about.
func txtPeer(txt []string, onLink []netip.Prefix) (p peer.AddrInfo, ok bool) {
	for _, s := range txt {
		s, isAddr := strings.CutPrefix(s, dnsaddr)
		if !isAddr {
			continue
		}
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			continue
		}
		a, id := peer.SplitAddr(a)
		if id == "" || (p.ID != "" && id != p.ID) {
			continue
		}
		p.ID = id
		if ip, isIP := firstIP(a); isIP && nearIP(ip, onLink) && lanTransport(a) && len(p.Addrs) < maxMDNSAddrs {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p, p.ID != ""
}

// lanTransport says whether a is worth its place in a packet on a LAN: the
// browsers' transports and relays are not.
func lanTransport(a ma.Multiaddr) bool {
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_CIRCUIT, ma.P_WEBTRANSPORT, ma.P_WEBRTC, ma.P_WEBRTC_DIRECT, ma.P_WS, ma.P_WSS:
			return false
		}
	}
	return true
}
