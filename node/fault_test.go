package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

func notTree(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, ".shoal") }
func notHead(r *http.Request) bool { return r.Method != http.MethodHead }

// verdict is how a fetch from one origin ends.
type verdict string

const (
	whole       verdict = "whole"
	unavailable verdict = "unavailable"
	wrong       verdict = "wrong"
)

func verdictOf(t *testing.T, err error) verdict {
	t.Helper()
	switch {
	case err == nil:
		return whole
	case isA[*UnavailableError](err):
		return unavailable
	case isA[*VerificationError](err):
		return wrong
	}
	t.Errorf("error is %T (%v)", err, err)
	return ""
}

// An origin that misbehaves is told from one that lies, and neither leaves
// anything under the final name.
func TestFaultyOrigins(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    origintest.Fault
		withTree verdict
		without  verdict
	}{
		{"changes bits", origintest.Fault{Lie: true}, wrong, wrong},
		{"changes a bit in the middle", origintest.Fault{LieAt: 1500 << 10}, wrong, wrong},
		{"sends other bytes of the file", origintest.Fault{Shift: 7}, wrong, unavailable},
		{"cuts each connection", origintest.Fault{Cut: 1200 << 10}, whole, whole},
		{"ends early, properly", origintest.Fault{Short: 600 << 10}, unavailable, wrong},
		{"ignores ranges", origintest.Fault{NoRange: true}, whole, whole},
		{"never answers", origintest.Fault{HangHeader: true}, unavailable, unavailable},
		{"stops in the middle", origintest.Fault{HangBody: 600 << 10}, unavailable, unavailable},
		{"has nothing", origintest.Fault{Status: 404}, unavailable, unavailable},
		{"is broken", origintest.Fault{Status: 500}, unavailable, unavailable},
		{"is busy at first", origintest.Fault{Status: 503, Once: true}, whole, whole},
		{"compresses", origintest.Fault{Gzip: true}, unavailable, unavailable},
		{"tells a wrong length", origintest.Fault{Length: 5}, unavailable, unavailable},
		{"names another range", origintest.Fault{ContentRange: "bytes 1-1000/2097161"}, unavailable, whole},
		{"redirects in a circle", origintest.Fault{Redirect: "/a"}, unavailable, unavailable},
		{"redirects to a file of this machine", origintest.Fault{Redirect: "file:///etc/hostname"}, unavailable, unavailable},
		{"is broken, then well", origintest.Fault{Status: 500, Once: true}, whole, whole},
		{"has no validators", origintest.Fault{NoValidator: true}, whole, whole},
	}
	hasher, b := start(t, func(c *Config) { c.Offline = true }), start(t)
	begun := map[string]func() (*Result, error){} // all at once: most of the time is spent waiting
	for i, tt := range tests {
		tt.fault.Only = notTree
		data := noise(uint64(800+i), 2*mib+9)
		path := put(t, "data.bin", data)
		for _, with := range []bool{true, false} {
			if !with {
				data = append(data, 'x') // another root for the same node
				must(t, os.WriteFile(path, data, 0o644))
			}
			treeFile := filepath.Join(t.TempDir(), "tree")
			target := share(t, hasher, path, AddOptions{TreeFile: treeFile})
			var tree []byte
			if with {
				var err error
				tree, err = os.ReadFile(treeFile)
				must(t, err)
			}
			o, url := origin(t, "data.bin", data, tree)
			o.SetFault(tt.fault)
			begun[fmt.Sprint(tt.name, with)] = begin(t, b, target, FetchOptions{Origins: []string{url}, Timeout: 5 * time.Second})
		}
	}
	for _, tt := range tests {
		for with, want := range map[bool]verdict{true: tt.withTree, false: tt.without} {
			_, err := begun[fmt.Sprint(tt.name, with)]()
			if got := verdictOf(t, err); got != want {
				t.Errorf("origin that %s, tree beside it %v: ended %s (%v); want %s", tt.name, with, got, err, want)
			}
		}
	}
}

// A tree file that lies is no tree; the content comes all the same.
func TestWrongTreeFile(t *testing.T) {
	t.Parallel()
	data := noise(81, 2*mib)
	target, _ := hash(t, put(t, "data.bin", data), AddOptions{})
	_, other := hash(t, put(t, "other.bin", noise(82, 2*mib)), AddOptions{})
	for name, tree := range map[string][]byte{"of other content": other, "garbage": []byte("not a tree"), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := origin(t, "data.bin", data, tree)
			mustGet(t, start(t), target, FetchOptions{Origins: []string{url}}, data)
		})
	}
}
