package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/node"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		result node.Result
		want   []string
	}{
		"contract": {node.Result{Size: 1_070_000_000, Seconds: 2.4, Verified: true, Origins: []string{"cdn.example.com"}, From: node.From{
			LAN: node.Amount{Bytes: 652_700_000, Peers: 3}, WAN: node.Amount{Bytes: 331_700_000, Peers: 5}, Origin: node.Amount{Bytes: 85_600_000, Peers: 1}}},
			[]string{"1.07 GB in 2.4 s (446 MB/s), verified", "61% from 3 LAN peers, 31% from 5 peers, 8% from cdn.example.com"}},
		"relay and disk": {node.Result{Size: 1000, Seconds: 0.5, Verified: true, From: node.From{
			WAN: node.Amount{Bytes: 840, Peers: 1}, Relay: node.Amount{Bytes: 40, Peers: 1}, Disk: node.Amount{Bytes: 120}}},
			[]string{"1.00 kB in 0.50 s (2.00 kB/s), verified", "84% from 1 peer, 4% relayed from 1 peer, 12% already here"}},
		"two origins": {node.Result{Size: 10, Seconds: 100, Verified: true, Origins: []string{"a", "b"}, From: node.From{Origin: node.Amount{Bytes: 10, Peers: 2}}},
			[]string{"10 B in 1m40s (0 B/s), verified", "100% from 2 origins"}},
		"reasons": {node.Result{Size: 10, Seconds: 1, Verified: true, OriginReasons: map[string]int64{"inject": 7, "stall": 3, "tail": 0}, From: node.From{Origin: node.Amount{Bytes: 10, Peers: 1}}},
			[]string{"10 B in 1.0 s (10 B/s), verified", "100% from an origin", "origin bytes: inject 7 B (nobody had it), stall 3 B (peers sent nothing)"}},
		"a drop": {node.Result{Size: 1_000_000, Seconds: 1, Verified: true, From: node.From{
			LAN: node.Amount{Bytes: 999_999, Peers: 1}, Origin: node.Amount{Bytes: 1, Peers: 1}}},
			[]string{"1.00 MB in 1.0 s (1.00 MB/s), verified", "100% from 1 LAN peer, <1% from an origin"}},
		"empty": {node.Result{Verified: true}, []string{"0 B in 0.00 s, verified"}},
		"liars": {node.Result{Size: 5, Seconds: 1, Verified: true, Rejected: 2_000_000, Liars: []string{"12D3 at /ip4/1.2.3.4"}, From: node.From{Disk: node.Amount{Bytes: 5}}},
			[]string{"5 B in 1.0 s (5 B/s), verified", "100% already here", "gave wrong bytes, refused (2.00 MB): 12D3 at /ip4/1.2.3.4"}},
	} {
		if got := summary(&tt.result); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
	}
}

func TestPercentagesAddUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   []int64
		want []int
	}{
		{[]int64{1, 1, 1}, []int{34, 33, 33}},
		{[]int64{0, 0}, []int{0, 0}},
		{[]int64{-5, 10}, []int{0, 100}},
		{[]int64{1, 1, 1, 1, 1, 1, 1}, []int{15, 15, 14, 14, 14, 14, 14}},
		{[]int64{1 << 62, 1 << 62}, []int{50, 50}},
	} {
		if got := percentages(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestBarText(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]node.Progress{
		"0 B · 0 B/s · 0 peers": {},
		"250 MB of 1.00 GB · 50.0 MB/s · ETA 15s · lan 200 MB · origin 50.0 MB · 3 peers": {
			Size: 1_000_000_000, Have: 250_000_000, Rate: 50_000_000, Peers: 3,
			From: node.From{LAN: node.Amount{Bytes: 200_000_000}, Origin: node.Amount{Bytes: 50_000_000}}},
		"1.00 kB of 1.00 MB · 0 B/s · wan 600 B · relay 300 B · here 100 B · 1 peer": {
			Size: 1_000_000, Have: 1000, Rate: 0.01, Peers: 1,
			From: node.From{WAN: node.Amount{Bytes: 600}, Relay: node.Amount{Bytes: 300}, Disk: node.Amount{Bytes: 100}}},
	} {
		if got := barText(p); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if got := waitingLine("nobody to ask: x"); got != "nobody to ask: x" {
		t.Error(got)
	}
	if got := waitingLine("3 providers found"); got != "waiting: 3 providers found" {
		t.Error(got)
	}
}

func TestErrorsToCodesAndWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code int
		want []string
	}{
		{nil, 0, nil},
		{errors.New("disk full"), 1, []string{"disk full"}},
		{&usageError{errors.New("no")}, 2, []string{"no", "see shoal get --help"}},
		{fmt.Errorf("%w: mdns: no", node.ErrUsage), 2, []string{"mdns: no", "see shoal get --help"}},
		{&node.UnavailableError{Why: "nobody", Hint: "give --peer", Liars: []string{"x", "y"}}, 3, []string{"b is unavailable: nobody", "gave wrong bytes: x; y", "give --peer"}},
		{fmt.Errorf("get: %w", &node.VerificationError{Why: "wrong", Liars: []string{"x"}}), 4, []string{"get: b failed verification: wrong (x)"}},
		{fmt.Errorf("piece 3: %w", merkle.ErrMismatch), 4, []string{"piece 3: content does not match its ID"}},
		{fmt.Errorf("tree: %w", merkle.ErrUnsupported), 1, []string{"tree: unsupported"}},
		{errors.New("x: target exists"), 1, []string{"x: target exists"}},
		{&codedError{3, errors.New("none")}, 3, []string{"none"}},
		{errors.Join(errors.New("a"), errors.New("b")), 1, []string{"a; b"}},
	} {
		if got := exitCode(tt.err); got != tt.code {
			t.Errorf("%v: code %d, want %d", tt.err, got, tt.code)
		}
		got := errorLines(tt.err, "get")
		for i := range got { // an undefined CID prints as "b"
			got[i] = strings.TrimSpace(got[i])
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := errors.New("failed")
	if err := interrupted(ctx, failed); err != failed {
		t.Error(err)
	}
	cancel(errInterrupted)
	if err := interrupted(ctx, context.Canceled); !errors.Is(err, errInterrupted) || !strings.Contains(err.Error(), "the same command goes on") {
		t.Error(err)
	}
	if err := interrupted(ctx, failed); err != failed {
		t.Error(err)
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]int64{"": {0, -1}, "0-0": {0, 0}, "5-": {5, -1}, "7-9": {7, 9}} {
		if from, to, err := parseRange(in); err != nil || from != want[0] || to != want[1] {
			t.Errorf("%q: %d %d %v", in, from, to, err)
		}
	}
	for _, in := range []string{"5", "-5", "9-7", "a-b", "1-2-3", "--1", "0x1-2", "99999999999999999999-"} {
		if _, _, err := parseRange(in); !isUsage(err) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestReadHeaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines, token, big := filepath.Join(dir, "lines"), filepath.Join(dir, "token"), filepath.Join(dir, "big")
	for file, text := range map[string]string{lines: "A: 1\r\nB: @" + token + "\n", token: "secret\n", big: strings.Repeat("x", maxHeaderFile+1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readHeaders([]string{"X-Key:  v: w ", "@" + lines, "Authorization: @" + token})
	if want := []string{"X-Key: v: w", "A: 1", "B: secret", "Authorization: secret"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, in := range []string{"novalue", ": x", "a b: x", "@" + dir + "/none", "K: @" + dir + "/none", "@" + big, "K: a\nb", "K: @" + lines} {
		if _, err := readHeaders([]string{in}); !isUsage(err) {
			t.Errorf("%q: %v", in, err)
		} else if strings.Contains(err.Error(), "novalue") {
			t.Errorf("%q shows what may be a secret: %v", in, err)
		}
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	env := func(m map[string]string) func(string) (string, bool) {
		return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
	}
	for _, tt := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", map[string]string{"HOME": "/h"}, "/h/.local/share/shoal"},
		{"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/shoal"},
		{"linux", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.local/share/shoal"},
		{"freebsd", map[string]string{"HOME": "/h"}, "/h/.local/share/shoal"},
		{"darwin", map[string]string{"HOME": "/h"}, "/h/Library/Application Support/shoal"},
		{"windows", map[string]string{"LocalAppData": "/l"}, "/l/shoal"},
		{"linux", nil, ""}, {"darwin", nil, ""}, {"windows", nil, ""},
	} {
		got, err := dataDir(tt.goos, env(tt.env))
		if filepath.ToSlash(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s %v: got %q, %v", tt.goos, tt.env, got, err)
		}
	}
}

func TestQuoting(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"bafy": "bafy", "shoal:x?peer=/a&origin=b": "'shoal:x?peer=/a&origin=b'", "": "''", "it's": `'it'\''s'`} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"ü b": "ü b", "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestSkipsLine(t *testing.T) {
	t.Parallel()
	var s skips
	if got := s.line(0); got != "" {
		t.Error(got)
	}
	for _, name := range []string{".a", ".b", ".c", ".d"} {
		s.add(name, "hidden")
	}
	if got, want := s.line(4), "left out 4 entries: .a (hidden), .b (hidden), .c (hidden), ...; --hidden takes names that begin with a dot"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestLookingLine(t *testing.T) {
	t.Parallel()
	target, err := merkle.ParseTarget("shoal:bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq/a?origin=http://o/")
	if err != nil {
		t.Fatal(err)
	}
	root := target.Root.String()
	for _, tt := range []struct {
		cfg     node.Config
		opt     node.FetchOptions
		running bool
		want    string
	}{
		{node.Config{}, node.FetchOptions{}, false, "looking for " + root + "/a (mDNS, DHT, 1 origin)"},
		{node.Config{MDNS: "off", Origins: []string{"http://p/", "http://o/"}}, node.FetchOptions{Origins: []string{"http://p/"}, Peers: []string{"x", "y"}}, false,
			"looking for " + root + "/a (DHT, 2 peers, 2 origins)"},
		{node.Config{}, node.FetchOptions{}, true, "looking for " + root + "/a (the running node, 1 origin)"},
	} {
		if got := lookingLine(wanted{Target: target}, tt.cfg, tt.opt, tt.running); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
