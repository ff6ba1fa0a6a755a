package node

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// fields are the keys of the JSON of v; those of the first element if it is a list.
func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	var out map[string]any
	must(t, json.Unmarshal(b, &out))
	return out
}

// checkKeys compares the keys of an object with a list in the contract's form.
func checkKeys(t *testing.T, what string, v any, want string) {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is %T; want an object", what, v)
		return
	}
	for key := range strings.FieldsSeq(want) {
		if _, ok := o[key]; !ok {
			t.Errorf("%s has no %q, only %q", what, key, slices.Sorted(maps.Keys(o)))
		}
	}
}

func first(t *testing.T, list any) any {
	t.Helper()
	l, ok := list.([]any)
	if !ok || len(l) == 0 {
		t.Fatalf("%v is not a list with something in it", list)
	}
	return l[0]
}

// The JSON of the contract, field by field.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	data := noise(140, 2*mib)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	r := mustGet(t, b, target, from(a), data)

	got := fields(t, r)
	checkKeys(t, "get", got, "cid path size seconds verified from origin_reasons rejected_bytes duplicate_bytes sent_bytes")
	checkKeys(t, "from", got["from"], "lan wan relay origin disk")
	for _, source := range []string{"lan", "wan", "relay", "origin", "disk"} {
		checkKeys(t, source, got["from"].(map[string]any)[source], "bytes peers")
	}

	waiting := begin(t, b, orphan(), FetchOptions{Timeout: sayNobody})
	var s Status
	soon(t, "the root waits", func() bool {
		var err error
		s, err = b.Status(t.Context())
		must(t, err)
		return slices.ContainsFunc(s.Roots, func(r RootStatus) bool { return r.Why != nil })
	})
	got = fields(t, s)
	checkKeys(t, "status", got, "peer_id addrs version reachability swarm dht peers roots uptime_s rss_bytes")
	checkKeys(t, "swarm", got["swarm"], "name private")
	checkKeys(t, "dht", got["dht"], "mode routing_table")
	checkKeys(t, "peer", first(t, got["peers"]), "id addr transport path rtt_ms received sent balance")
	for _, r := range got["roots"].([]any) {
		checkKeys(t, "root", r, "cid name size have state from sent_bytes")
		if why, ok := r.(map[string]any)["why"]; ok {
			checkKeys(t, "why", why, "code since_s tried next")
		}
	}
	if s.PeerID != b.ID() || s.Version != "test" || s.Reachability != "unknown" || s.DHT.Mode == "" || s.RSS == 0 {
		t.Errorf("status %+v", s)
	}
	if !strings.HasSuffix(s.Addrs[0], "/p2p/"+b.ID()) {
		t.Errorf("address %q has no peer ID", s.Addrs[0])
	}
	if p := s.Peers[0]; p.ID != a.ID() || p.Transport != "tcp" || p.Path != "lan" || p.Received < 2*mib || p.Balance != p.Received-p.Sent {
		t.Errorf("peer %+v", p)
	}
	_, err := waiting()
	as[*UnavailableError](t, err)
}

// states of a root, as a user follows them.
func TestRootStates(t *testing.T) {
	t.Parallel()
	a, b := start(t, upload("4MB/s")), start(t)
	data := noise(141, 4*mib)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	state := func(n *Node) RootStatus {
		s, err := n.Status(t.Context())
		must(t, err)
		for _, r := range s.Roots {
			if r.CID == target.Root.String() {
				return r
			}
		}
		return RootStatus{}
	}
	if r := state(a); r.State != "complete" || r.Have != r.Size || r.Name != "data.bin" {
		t.Errorf("shared: %+v", r)
	}
	some, hasSome := once()
	opt := from(a)
	opt.Name = "named"
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			hasSome()
		}
	}
	atB := begin(t, b, target, opt)
	<-some
	if r := state(b); r.State != "fetching" || r.Have == 0 || r.Size != 4*mib || r.Name != "named" || r.From.LAN.Bytes == 0 {
		t.Errorf("fetching: %+v", r)
	}
	res, err := atB()
	must(t, err)
	if r := state(b); r.State != "complete" || r.Have != r.Size || r.Path != res.Path || r.Why != nil {
		t.Errorf("fetched: %+v", r)
	}
	if r := state(a); r.Sent < 4*mib {
		t.Errorf("sent: %+v; want all of it counted", r)
	}
}
