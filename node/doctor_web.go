package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/internal/route"
)

// webFound is what there is of WebSocket.
type webFound struct {
	listen  []ma.Multiaddr    // where the node listens for it
	told    []ma.Multiaddr    // by which others dial that
	leaf    *x509.Certificate // nil without one
	dialled int               // connections by it that the node made
	proxied int               // of these, through a proxy
	asked   int               // connections by it that others made
	other   int               // connections by other transports
	known   int               // nodes to join through
	hosts   int               // of these, such that listen for it
	err     error             // of dialling one of these, while nothing is connected
}

// checkWeb looks at WebSocket, the way out where only HTTPS gets out.
func (n *Node) checkWeb(ctx context.Context) Check {
	w := webFound{
		listen: ma.FilterAddrs(n.listens(), route.WebSocket), known: n.known(),
		told: ma.FilterAddrs(n.host.Addrs(), func(a ma.Multiaddr) bool { return transportName(a) == "wss" }),
	}
	if n.web.cert != nil {
		w.leaf = n.web.cert.leaf()
	}
	hosts := map[peer.ID]peer.AddrInfo{}
	for _, p := range n.bootstrap() {
		if p.Addrs = ma.FilterAddrs(p.Addrs, route.WebSocket); len(p.Addrs) > 0 {
			hosts[p.ID] = p
		}
	}
	w.hosts = len(hosts)
	conns := n.host.Network().Conns()
	for _, p := range hosts {
		if len(conns) > 0 || w.err != nil {
			break
		}
		w.err = n.dialWeb(ctx, p)
		conns = n.host.Network().Conns()
	}
	for _, c := range conns {
		switch how, _ := n.reach.How(c); {
		case !route.WebSocket(c.RemoteMultiaddr()) || transportName(c.RemoteMultiaddr()) == "p2p-circuit":
			w.other++
		case c.Stat().Direction == network.DirInbound:
			w.asked++
		default:
			w.dialled++
			if how == "proxy" {
				w.proxied++
			}
		}
	}
	return judgeWeb(w, time.Now())
}

// dialWeb connects by WebSocket; the error is that of the first address.
func (n *Node) dialWeb(ctx context.Context, p peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, n.dialTimeout())
	defer cancel()
	n.reach.Retry(p.ID)
	err := n.host.Connect(ctx, p)
	var dial *swarm.DialError
	if errors.As(err, &dial) {
		for _, e := range dial.DialErrors {
			if route.WebSocket(e.Address) {
				return fmt.Errorf("%s: %w", e.Address, e.Cause)
			}
		}
	}
	return err
}

// soonOver is when a certificate that ends is worth a word.
const soonOver = 14 * 24 * time.Hour

func judgeWeb(w webFound, now time.Time) Check {
	c := Check{Check: "websocket", State: CheckOK}
	if len(w.listen) > 0 {
		return judgeWebServer(c, w, now)
	}
	switch {
	case w.dialled > 0:
		c.Detail = fmt.Sprintf("%s connected by it, %d of them through the proxy", number(w.dialled, "peer"), w.proxied)
	case w.other > 0 || w.asked > 0:
		c.Detail = "not needed: peers connect without it"
	case w.err != nil:
		c.State, c.Detail = CheckFailing, "no connection to "+w.err.Error()
		c.Hint = "check the proxy (HTTPS_PROXY), and who has signed that certificate (--ca)"
	case w.known > 0 && w.hosts == 0:
		c.State, c.Detail = CheckWarning, "no known node listens for it"
		c.Hint = "where only HTTPS gets out, join through one that does: --bootstrap /dns4/NAME/tcp/443/tls/ws/p2p/ID"
	default:
		c.Detail = "not tried: no other node is known"
	}
	return c
}

// judgeWebServer judges the certificate and the names of a node that listens.
func judgeWebServer(c Check, w webFound, now time.Time) Check {
	var told []string
	for _, a := range w.told {
		told = append(told, a.String())
	}
	c.Detail = "listening on " + portWords(w.listen)
	if len(told) > 0 {
		c.Detail += ", dialled as " + strings.Join(told, ", ")
	}
	if w.asked > 0 {
		c.Detail += "; " + number(w.asked, "peer") + " connected by it"
	}
	over := slices.ContainsFunc(w.listen, func(a ma.Multiaddr) bool { return transportName(a) == "wss" }) && w.leaf != nil
	if over {
		c.Detail += "; certificate until " + w.leaf.NotAfter.UTC().Format(time.DateOnly)
	}
	switch {
	case over && now.After(w.leaf.NotAfter):
		c.State, c.Hint = CheckFailing, "renew the certificate; it is read again when its file changes"
	case len(told) == 0:
		c.State, c.Hint = CheckWarning, "say by which name others reach it over TLS: --address /dns4/NAME/tcp/443/tls/ws"
	case over && now.After(w.leaf.NotAfter.Add(-soonOver)):
		c.State, c.Hint = CheckWarning, "renew the certificate; it is read again when its file changes"
	}
	return c
}
