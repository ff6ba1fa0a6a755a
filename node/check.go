package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/shoal-p2p/shoal/cdnfallback/policy"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/swarm/membership"
)

// Validate checks every option of c. Errors are ErrUsage.
func (c *Config) Validate() error {
	for _, o := range Options() {
		if err := checkOption(c, o); err != nil {
			return fmt.Errorf("%w: %s: %v", ErrUsage, o.Key, err)
		}
	}
	return nil
}

// checkOption checks the value of one option in c.
func checkOption(c *Config, o Option) error {
	switch o.Key {
	case "listen":
		return each(c.Listen, func(s string) error { _, err := ma.NewMultiaddr(s); return err })
	case "address":
		return each(c.Address, func(s string) error { _, err := ma.NewMultiaddr(s); return err })
	case "bootstrap":
		return each(c.Bootstrap, CheckPeerAddr)
	case "mdns":
		return checkSwitch(c.MDNS)
	case "portmap":
		return checkSwitch(c.PortMap)
	case "origin":
		return each(c.Origins, CheckOrigin)
	case "ca":
		_, err := ReadCA(c.CA)
		return err
	case "upload":
		_, err := ParseRate(c.Upload)
		return err
	case "download":
		_, err := ParseRate(c.Download)
		return err
	case "lan":
		return each(c.LAN, checkPrefix)
	case "from":
		return each(c.From, func(s string) error { _, err := merkle.ParsePublisher(s); return err })
	case "store-max":
		_, err := ParseSize(c.StoreMax)
		return err
	case "relay-data":
		_, err := ParseSize(c.RelayData)
		return err
	case "relay-day":
		_, err := ParseSize(c.RelayDay)
		return err
	case "punch-hard":
		return checkSwitch(c.PunchHard)
	case "announce":
		switch c.Announce {
		case "", announceRoots, announceFiles, announcePieces:
		default:
			return fmt.Errorf("%q is none of roots, files, pieces", c.Announce)
		}
	case "create":
		if c.Create != "" {
			return membership.CheckName(c.Create)
		}
	case "join":
		if c.Join != "" && c.Join != "-" {
			_, err := membership.ParseToken(c.Join)
			return err
		}
	case "log-level":
		if c.LogLevel != "" {
			var l slog.Level
			if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
				return fmt.Errorf("%q is none of debug, info, warn, error", c.LogLevel)
			}
		}
	}
	return nil
}

func each(list []string, check func(string) error) error {
	for _, s := range list {
		if err := check(s); err != nil {
			return fmt.Errorf("%q: %w", s, err)
		}
	}
	return nil
}

func checkPrefix(s string) error {
	if _, err := netip.ParsePrefix(s); err != nil {
		return errors.New("is no range of addresses such as 10.0.0.0/8")
	}
	return nil
}

func checkSwitch(s Switch) error {
	if s != "" && s != "on" && s != "off" {
		return fmt.Errorf("%q is neither on nor off", s)
	}
	return nil
}

// CheckPeerAddr tells why s is not the address of a peer, a multiaddr that
// ends in its ID.
func CheckPeerAddr(s string) error {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return err
	}
	if _, err := a.ValueForProtocol(ma.P_P2P); err != nil {
		return fmt.Errorf("ends without /p2p/ID, so nobody could tell whether the right peer answers")
	}
	return nil
}

// CheckOrigin tells why s cannot be an origin.
func CheckOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("is not an http:// or https:// URL")
	}
	return nil
}

// ParseClass reads the class of a fetch: interactive (also ""), background or economy.
func ParseClass(s string) (policy.Class, error) {
	switch s {
	case "", "interactive":
		return policy.Interactive, nil
	case "background":
		return policy.Background, nil
	case "economy":
		return policy.Economy, nil
	}
	return 0, fmt.Errorf("%w: class %q is none of interactive, background, economy", ErrUsage, s)
}
