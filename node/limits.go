package node

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/shoal-p2p/shoal/exchange"
)

// limits reads the rates and networks of a Config.
func limits(cfg Config) (up, down exchange.Limit, lan []netip.Prefix, err error) {
	if up, err = limitOf(cfg.Upload, 10e6/8); err != nil {
		return up, down, nil, err
	}
	if down, err = limitOf(cfg.Download, 0); err != nil {
		return up, down, nil, err
	}
	for _, s := range cfg.LAN {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return up, down, nil, fmt.Errorf("%w: lan %q: %w", ErrUsage, s, err)
		}
		lan = append(lan, p)
	}
	return up, down, lan, nil
}

// limitOf turns a rate as typed into a limit; preset is bytes/s on WAN for "".
func limitOf(s string, preset float64) (exchange.Limit, error) {
	r, err := ParseRate(s)
	switch {
	case err != nil:
		return exchange.Limit{}, fmt.Errorf("%w: %w", ErrUsage, err)
	case r.Off:
		return exchange.Limit{Rate: -1, LAN: true}, nil
	case r.Unlimited:
		return exchange.Limit{}, nil
	case r.Bytes > 0:
		return exchange.Limit{Rate: float64(r.Bytes), LAN: true}, nil
	}
	return exchange.Limit{Rate: preset}, nil
}

// down waits for n bytes of the download limit: an origin counts as WAN.
func (n *Node) down(ctx context.Context, bytes int) error {
	return n.exchange.WaitDownload(ctx, exchange.WAN, bytes)
}

// slowed reads r no faster than the download limit allows.
func (n *Node) slowed(ctx context.Context, r io.Reader) io.Reader { return &slowReader{ctx, n, r} }

type slowReader struct {
	ctx context.Context
	n   *Node
	r   io.Reader
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if e := s.n.down(s.ctx, n); err == nil {
		err = e
	}
	return n, err
}
