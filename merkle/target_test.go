package merkle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const (
	dirText  = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
	peerText = "/ip4/192.0.2.1/tcp/7461/p2p/12D3KooWGRUR5Y1DkPJ5ufvSCYtgTvcHUzFRYUrMD2QsJj5sWcPh"
)

// TestParseTarget reads every form of a target.
func TestParseTarget(t *testing.T) {
	t.Parallel()
	root, err := Parse(dirText)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		want Target
		link string
	}{
		{dirText, Target{Root: root}, "shoal:" + dirText},
		{" " + dirText + "\n", Target{Root: root}, "shoal:" + dirText},
		{dirText + "/", Target{Root: root}, "shoal:" + dirText},
		{dirText + "/a/b c", Target{Root: root, Path: "a/b c"}, "shoal:" + dirText + "/a/b%20c"},
		{dirText + "//a///b/", Target{Root: root, Path: "a/b"}, "shoal:" + dirText + "/a/b"},
		{dirText + "/a%20b?c", Target{Root: root, Path: "a%20b?c"}, "shoal:" + dirText + "/a%2520b%3Fc"},
		{"/ipfs/" + dirText + "/x", Target{Root: root, Path: "x"}, "shoal:" + dirText + "/x"},
		{"ipfs://" + dirText, Target{Root: root}, "shoal:" + dirText},
		{"IPFS://" + dirText + "/gr%C3%BC%C3%9Fe#top", Target{Root: root, Path: "grüße"}, "shoal:" + dirText + "/gr%C3%BC%C3%9Fe"},
		{"shoal:" + dirText + "?name=big%20f%C3%BCr.iso", Target{Root: root, Name: "big für.iso"}, "shoal:" + dirText + "?name=big%20f%C3%BCr.iso"},
		{"shoal:" + dirText + "?name=a&peer=" + peerText, Target{Root: root, Peers: []string{peerText}, Name: "a"}, "shoal:" + dirText + "?peer=" + peerText + "&name=a"},
		{"shoal:" + dirText + "?name=../a", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=.profile", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=-rf", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=a%0Ab", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=a%E2%80%AEb", Target{Root: root}, "shoal:" + dirText}, // turns the text that follows
		{"shoal:" + dirText + "?name=a%FF", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=a%5Cb", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?name=", Target{Root: root}, "shoal:" + dirText},
		{"shoal:" + dirText + "?later=1&peer=" + peerText, Target{Root: root, Peers: []string{peerText}}, "shoal:" + dirText + "?peer=" + peerText},
		{"shoal:" + dirText + "/a?origin=https%3A%2F%2Fcdn.example.com%2Fx%3Fy=1%26z&peer=" + peerText + "&origin=http://b",
			Target{Root: root, Path: "a", Peers: []string{peerText}, Origins: []string{"https://cdn.example.com/x?y=1&z", "http://b"}},
			"shoal:" + dirText + "/a?peer=" + peerText + "&origin=https://cdn.example.com/x%3Fy%3D1%26z&origin=http://b"},
	} {
		got, err := ParseTarget(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
		if got.String() != c.link {
			t.Errorf("%q is the link %q, want %q", c.in, got, c.link)
		}
	}
}

// TestParseTargetRefuses says what is wrong.
func TestParseTargetRefuses(t *testing.T) {
	t.Parallel()
	many := func(name, value string, n int) string {
		return "shoal:" + dirText + "?" + strings.Repeat("&"+name+"="+value, n)
	}
	for _, c := range []struct{ in, says string }{
		{"", "empty"},
		{"shoal:", "empty"},
		{"https://example.com/x", "should look like"},
		{dirText + "/a/../b", `".."`},
		{dirText + "/./b", `"."`},
		{dirText + "/a\x00b", "NUL"},
		{"shoal:" + dirText + "/%2e%2E/b", `".."`},
		{"shoal:" + dirText + "/%zz", "percent-encoding"},
		{"shoal:" + dirText + "/a%2", "percent-encoding"},
		{"shoal:" + dirText + "?peer=%", "percent-encoding"},
		{"shoal:" + dirText + "?peer=192.0.2.1", "no address"},
		{"shoal:" + dirText + "?peer=/ip4/192.0.2.1/tcp/1", "no address"},
		{"shoal:" + dirText + "?origin=file:///etc/passwd", "no http or https URL"},
		{"shoal:" + dirText + "?origin=https:///x", "no http or https URL"},
		{many("peer", "/p2p/x", MaxPeers+1), "more than 16 peers"},
		{many("origin", "http://x", MaxOrigins+1), "more than 16 origins"},
		{dirText + "/" + strings.Repeat("a", MaxTarget), "8192"},
	} {
		if got, err := ParseTarget(c.in); !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("ParseTarget(%q) = %v, %v; want %q", clip(c.in), got, err, c.says)
		}
	}
	if _, err := ParseTarget(many("peer", "/p2p/x", MaxPeers)); err != nil {
		t.Error(err)
	}
}

// FuzzTarget: what is read is written and read back the same.
func FuzzTarget(f *testing.F) {
	f.Add("shoal:" + dirText + "/a%20b?peer=" + peerText + "&origin=https://cdn.example.com/x")
	f.Add("ipfs://" + dirText + "/a/b#c")
	f.Add(dirText + "/a%20b?c")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseTarget(s)
		if err != nil {
			return
		}
		link := a.String()
		if len(link) > MaxTarget {
			return
		}
		b, err := ParseTarget(link)
		if err != nil || !reflect.DeepEqual(a, b) || b.String() != link {
			t.Fatalf("%q reads as %+v, its link %q as %+v, %v", s, a, link, b, err)
		}
	})
}

// FuzzTargetParts: what is written from parts is read back as these parts.
func FuzzTargetParts(f *testing.F) {
	f.Add("a/b c", "/p2p/x?&=", "https://h/%?&#=+ ü")
	f.Fuzz(func(t *testing.T, path, peer, origin string) {
		a, err := ParseTarget(dirText)
		if err != nil {
			t.Fatal(err)
		}
		if a.Path, err = cleanPath(path); err != nil || a.addPeer(peer) != nil || a.addOrigin(origin) != nil || len(a.String()) > MaxTarget {
			return
		}
		if b, err := ParseTarget(a.String()); err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v is the link %q and reads as %+v, %v", a, a, b, err)
		}
	})
}
