package merkle

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// content describes what a vector holds; testdata/README.md tells the fields.
type content struct {
	Text    *string          `json:"text"`
	Seed    uint32           `json:"seed"`
	Size    *int64           `json:"size"`
	Mode    uint32           `json:"mode"`
	Leaves  int              `json:"leaves"`
	Symlink string           `json:"symlink"`
	Many    int              `json:"many"`
	Prefix  string           `json:"prefix"`
	Digits  int              `json:"digits"`
	Each    string           `json:"each"`
	Last    string           `json:"last"`
	Dir     *json.RawMessage `json:"dir"`
}

// generator is the stream of vectors: the top byte of each state of a linear
// congruential generator.
type generator uint32

func (g *generator) fill(b []byte) []byte {
	x := uint32(*g)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	*g = generator(x)
	return b
}

// built is what a builder made, for tests that read it back.
type built struct {
	Link
	blocks []Block
}

// build makes c as a user of the package would.
func build(t testing.TB, p Profile, c content) built {
	t.Helper()
	switch {
	case c.Text != nil:
		return buildFile(p, c.Mode, int64(len(*c.Text)), func(b []byte) { copy(b, *c.Text) })
	case c.Size != nil:
		g := generator(c.Seed)
		return buildFile(p, c.Mode, *c.Size, func(b []byte) { g.fill(b) })
	case c.Leaves > 0:
		f, leaf := p.NewFile(), p.Leaf([]byte("x"))
		for range c.Leaves {
			f.Add(leaf)
		}
		l, blocks := f.Finish(c.Mode)
		return built{l, blocks}
	case c.Symlink != "":
		l, b := p.Symlink(c.Symlink)
		return built{l, []Block{b}}
	}
	var entries []DirEntry
	var below []Block
	for name, child := range children(t, c) {
		b := build(t, p, child)
		entries = append(entries, DirEntry{name, b.Link})
		below = append(below, b.blocks...)
	}
	l, blocks, err := p.Directory(entries, c.Mode)
	if err != nil {
		t.Fatal(err)
	}
	return built{l, append(blocks, below...)}
}

func children(t testing.TB, c content) map[string]content {
	out := map[string]content{}
	if c.Many == 0 {
		if err := json.Unmarshal(*c.Dir, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for i := range c.Many {
		name := fmt.Sprintf("%s%0*d", c.Prefix, c.Digits, i)
		if i == c.Many-1 {
			name += c.Last
		}
		out[name] = content{Text: &c.Each}
	}
	return out
}

// buildFile makes a file of size bytes, which fill gives in order.
func buildFile(p Profile, mode uint32, size int64, fill func([]byte)) built {
	f, buf := p.NewFile(), make([]byte, min(size, int64(p.LeafSize())))
	if size <= int64(p.LeafSize()) {
		fill(buf)
		f.Add(p.SoleLeaf(buf, mode))
		size = 0
	}
	for size > 0 {
		b := buf[:min(size, int64(len(buf)))]
		fill(b)
		f.Add(p.Leaf(b))
		size -= int64(len(b))
	}
	l, blocks := f.Finish(mode)
	return built{l, blocks}
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestVectors holds the builders to ipfs-unixfs-importer.
func TestVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Profile string
		Name    string
		Content content
		CID     string
		Tsize   uint64
	}
	readJSON(t, "vectors.json", &vectors)
	for _, v := range vectors {
		t.Run(v.Profile+"/"+strings.ReplaceAll(v.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && (v.Content.Leaves > 100000 || v.Content.Size != nil && *v.Content.Size > 64<<20) {
				t.Skip("large")
			}
			p, err := ProfileByName(v.Profile)
			if err != nil {
				t.Fatal(err)
			}
			got := build(t, p, v.Content)
			if got.CID.String() != v.CID {
				t.Errorf("CID %s, want %s", got.CID, v.CID)
			}
			if got.Tsize != v.Tsize {
				t.Errorf("Tsize %d, want %d", got.Tsize, v.Tsize)
			}
		})
	}
}
