package node

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

// A plain file on a server and nothing else.
func TestFetchWithoutTree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, profile string
		size          int
	}{
		{"v1", "unixfs-v1-2025", 3*mib + 5},
		{"v0", "unixfs-v0-2015", 3*mib + 5},
		{"v1, whole leaves", "unixfs-v1-2025", 2 * mib},
		{"raw root", "unixfs-v1-2025", 1000},
		{"dag-pb root", "unixfs-v0-2015", 1000},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := noise(uint64(60+i), tt.size)
			target, _ := hash(t, put(t, "data.bin", data), AddOptions{Profile: tt.profile})
			o, url := origin(t, "data.bin", data, nil)
			a, b := start(t), start(t)
			r := mustGet(t, a, target, FetchOptions{Origins: []string{url}}, data)
			checkOriginAlone(t, r, o.Served())
			// The tree that the bytes turned out to have is served to others.
			mustGet(t, b, target, from(a), data)
			left, err := filepath.Glob(filepath.Join(a.cfg.Dir, "quarantine", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left in quarantine: %q, %v", left, err)
			}
		})
	}
}

// Without a tree nothing of a wrong file is ever shown.
func TestWrongFileWithoutTree(t *testing.T) {
	t.Parallel()
	data := noise(70, 2*mib)
	target, _ := hash(t, put(t, "data.bin", data), AddOptions{})
	o, url := origin(t, "data.bin", data, nil)
	o.SetFault(origintest.Fault{Lie: true})
	b := start(t)
	_, err := get(t, b, target, FetchOptions{Origins: []string{url}, Timeout: 15 * time.Second})
	as[*VerificationError](t, err)
	left, err := filepath.Glob(filepath.Join(b.cfg.Dir, "quarantine", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in quarantine: %q, %v", left, err)
	}
}

// A peer turns up while the origin is being read without a tree: its tree is
// taken, and the rest comes from both.
func TestPeerBringsTree(t *testing.T) {
	t.Parallel()
	data := noise(71, 4*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	o, url := origin(t, "data.bin", data, nil)
	o.SetFault(origintest.Fault{HangBody: mib, Only: notHead})
	streams, isStreaming := once()
	opt := FetchOptions{Origins: []string{url}, Progress: func(p Progress) {
		if p.Have > 0 {
			isStreaming()
		}
	}}
	atB := begin(t, b, target, opt)
	<-streams
	b.joinThrough(infos(a))
	r, err := atB()
	must(t, err)
	checkFile(t, r, data)
	if r.From.LAN.Bytes == 0 {
		t.Errorf("from %+v; want bytes from the peer", r.From)
	}
}
