package node

import (
	"errors"
	"io"
	"testing"
)

// A node without a network says so, and still indexes and verifies.
func TestOffline(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *Config) { c.Offline = true })
	target := share(t, n, put(t, "data.bin", noise(180, mib+1)), AddOptions{})
	must(t, n.Verify(t.Context(), target.Root.String(), func(b Bad) { t.Errorf("bad: %+v", b) }))
	s, err := n.Status(t.Context())
	must(t, err)
	if len(s.Roots) != 1 || s.Roots[0].State != "complete" || len(s.Peers) != 0 || s.PeerID == "" {
		t.Errorf("status %+v; want one root that is complete", s)
	}
	_, err = n.Fetch(t.Context(), orphan(), FetchOptions{})
	for verb, err := range map[string]error{
		"Fetch": err,
		"Cat":   n.Cat(t.Context(), orphan(), 0, -1, io.Discard, FetchOptions{}),
		"Find":  n.Find(t.Context(), orphan(), FetchOptions{}, nil),
	} {
		if !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v; want ErrUsage", verb, err)
		}
	}
}
