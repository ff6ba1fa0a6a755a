package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	p2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// undialled says why a peer could not be dialled: how many addresses failed, and of what,
// each reason once. libp2p's own words have a line for every address and name the peer
// twice, which of a crowd makes kilobytes.
func undialled(err error) string {
	var dial *p2pswarm.DialError
	if !errors.As(err, &dial) || len(dial.DialErrors) == 0 {
		return err.Error()
	}
	var reasons []string
	for _, e := range dial.DialErrors {
		if r := innermost(e.Cause).Error(); !slices.Contains(reasons, r) {
			reasons = append(reasons, r)
		}
	}
	failed := len(dial.DialErrors) + dial.Skipped
	if failed == 1 {
		return fmt.Sprintf("its address fails: %s", reasons[0])
	}
	return fmt.Sprintf("all %d addresses fail: %s", failed, strings.Join(reasons, ", "))
}

// innermost is the error at the bottom of a chain.
func innermost(err error) error {
	for {
		within := errors.Unwrap(err)
		if within == nil {
			return err
		}
		err = within
	}
}
