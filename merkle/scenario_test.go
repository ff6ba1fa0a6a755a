package merkle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// TestTree runs the scenarios of testdata/tree, which build trees by hand,
// lies and all, and show what a Tree makes of them. The commands:
//
//	raw NAME [identity]               a raw leaf; the text below is its content
//	file NAME [data=TEXT] [size=N] [mode=OCTAL] [type=N] [identity] [v0]
//	                                  a file node; below: CHILD PAYLOAD [TSIZE]
//	dir NAME                          a directory; below: ENTRY CHILD [TSIZE]
//	shard NAME [fanout=N] [bits=HEX]  a shard; below: PREFIX[ENTRY] CHILD [TSIZE]
//	symlink NAME target=TEXT
//	link NAME codec=N hash=N          a CID of another kind, without a block
//	tree ROOT [lacks=NAME]            load it as asked, then print the table
//	resolve ROOT path=PATH            print each step
//
// PAYLOAD "-" is left out of a node's sizes. "\s", "\0" and "\e" in an ENTRY
// are a slash, a NUL and the empty string. TSIZE is the child's own unless given.
func TestTree(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/tree", func(t *testing.T, path string) {
		t.Parallel()
		w := &world{t, map[string]cid.Cid{}, map[Key]string{}, map[Key][]byte{}, map[string]uint64{}}
		datadriven.RunTest(t, path, w.run)
	})
}

// world holds the blocks of a scenario by name.
type world struct {
	t      *testing.T
	cids   map[string]cid.Cid
	names  map[Key]string
	blocks map[Key][]byte
	tsizes map[string]uint64
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	w.t = t
	name := d.CmdArgs[0].Key
	switch d.Cmd {
	case "raw":
		return w.put(name, d, cid.Raw, []byte(d.Input))
	case "file":
		return w.put(name, d, cid.DagProtobuf, w.file(d))
	case "dir":
		return w.put(name, d, cid.DagProtobuf, w.node(d, appendVarint(nil, dataType, typeDirectory)))
	case "shard":
		return w.put(name, d, cid.DagProtobuf, w.shard(d))
	case "symlink":
		_, b := UnixFSv1.Symlink(arg(d, "target", ""))
		return w.put(name, d, cid.DagProtobuf, b.Data)
	case "link":
		mh, err := multihash.Encode(make([]byte, 32), uint64(number(t, d, "hash", multihash.SHA2_256)))
		if err != nil {
			t.Fatal(err)
		}
		w.cids[name] = cid.NewCidV1(uint64(number(t, d, "codec", cid.Raw)), mh)
		return ""
	case "tree":
		return w.tree(w.cids[name], arg(d, "lacks", ""))
	case "resolve":
		return w.resolve(w.cids[name], arg(d, "path", ""))
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

func arg(d *datadriven.TestData, key, otherwise string) string {
	if a, ok := d.Arg(key); ok {
		return strings.Join(a.Vals, ",")
	}
	return otherwise
}

func number(t *testing.T, d *datadriven.TestData, key string, otherwise int) (n int) {
	if _, err := fmt.Sscanf(arg(d, key, fmt.Sprint(otherwise)), "%v", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) put(name string, d *datadriven.TestData, codec byte, data []byte) string {
	k := keyOf(codec, data)
	w.cids[name], w.names[k], w.blocks[k] = k.cid(d.HasArg("v0")), name, data
	w.tsizes[name] += uint64(len(data))
	if d.HasArg("identity") {
		mh, _ := multihash.Encode(data, multihash.IDENTITY)
		w.cids[name] = cid.NewCidV1(uint64(codec), mh)
	}
	return fmt.Sprintf("%d bytes", len(data))
}

// lines splits a command's text into words.
func lines(d *datadriven.TestData) (out [][]string) {
	for line := range strings.Lines(d.Input) {
		out = append(out, strings.Fields(line))
	}
	return out
}

func (w *world) link(name, child string, words []string) []byte {
	c, ok := w.cids[child]
	if !ok {
		w.t.Fatalf("no %q", child)
	}
	tsize := w.tsizes[child]
	if len(words) > 0 {
		if _, err := fmt.Sscan(words[0], &tsize); err != nil {
			w.t.Fatal(err)
		}
	}
	name = strings.NewReplacer(`\s`, "/", `\0`, "\x00", `\e`, "").Replace(name)
	return appendLink(nil, c.Bytes(), name, tsize)
}

func (w *world) file(d *datadriven.TestData) []byte {
	var links, sizes []byte
	data := arg(d, "data", "")
	sum, tsizes := len(data), uint64(0)
	for _, words := range lines(d) {
		links = append(links, w.link("", words[0], words[2:])...)
		tsizes += w.tsizes[words[0]]
		n := 0
		if _, err := fmt.Sscan(words[1], &n); err == nil {
			sizes = appendVarint(sizes, dataBlocksizes, uint64(n))
			sum += n
		}
	}
	u := appendVarint(nil, dataType, uint64(number(w.t, d, "type", typeFile)))
	if data != "" {
		u = appendBytes(u, dataData, []byte(data))
	}
	u = append(appendVarint(u, dataFilesize, uint64(number(w.t, d, "size", sum))), sizes...)
	w.tsizes[d.CmdArgs[0].Key] = tsizes
	return appendBytes(links, nodeData, appendMode(u, uint32(number(w.t, d, "mode", 0))))
}

func (w *world) node(d *datadriven.TestData, data []byte) []byte {
	var links []byte
	for _, words := range lines(d) {
		links = append(links, w.link(words[0], words[1], words[2:])...)
		w.tsizes[d.CmdArgs[0].Key] += w.tsizes[words[1]]
	}
	return appendBytes(links, nodeData, data)
}

func (w *world) shard(d *datadriven.TestData) []byte {
	fanout := number(w.t, d, "fanout", 16)
	field := make([]byte, max(fanout/8, 1))
	for _, words := range lines(d) {
		i := 0
		digits := min(len(fmt.Sprintf("%x", fanout-1)), len(words[0]))
		if _, err := fmt.Sscanf(words[0][:digits], "%x", &i); err == nil && i/8 < len(field) {
			field[len(field)-1-i/8] |= 1 << (i % 8)
		}
	}
	if a, ok := d.Arg("bits"); ok {
		field, _ = hex.DecodeString(a.Vals[0])
	}
	u := appendBytes(appendVarint(nil, dataType, typeShard), dataData, trimZeros(field))
	u = appendVarint(u, dataHashType, uint64(number(w.t, d, "hash", hashMurmur3)))
	return w.node(d, appendVarint(u, dataFanout, uint64(fanout)))
}

func (w *world) name(c cid.Cid) string {
	if k, ok := KeyOf(c); ok {
		return w.names[k]
	}
	return "identity"
}

// say prints an error with names for CIDs.
func (w *world) say(err error) string {
	s := err.Error()
	for name, c := range w.cids {
		s = strings.ReplaceAll(s, c.String(), name)
		if k, ok := KeyOf(c); ok {
			s = strings.ReplaceAll(s, k.String(), name)
		}
	}
	kind := "?"
	for e, name := range map[error]string{ErrMismatch: "mismatch", ErrMalformed: "malformed", ErrUnsupported: "unsupported", ErrTooLarge: "too large", ErrNoEntry: "no entry"} {
		if errors.Is(err, e) {
			kind = name
		}
	}
	return kind + ": " + s
}

func (w *world) tree(root cid.Cid, lacks string) string {
	tree, err := NewTree(root)
	if err != nil {
		return w.say(err)
	}
	var out strings.Builder
	for !tree.Complete() {
		out.WriteString("wants")
		missing := tree.Missing(0)
		for _, c := range missing {
			out.WriteString(" " + w.name(c))
		}
		out.WriteString("\n")
		added := 0
		for _, c := range missing {
			k, _ := KeyOf(c)
			if w.names[k] == lacks {
				continue
			}
			added++
			if err := tree.Add(w.blocks[k]); err != nil {
				return out.String() + w.say(err)
			}
		}
		if added == 0 {
			_, err := tree.Table()
			return out.String() + w.say(err)
		}
	}
	out.WriteString("blocks")
	for _, b := range tree.Blocks() {
		out.WriteString(" " + w.name(b.CID))
	}
	table, err := tree.Table()
	if err != nil {
		return out.String() + "\n" + w.say(err)
	}
	checkTable(w.t, table)
	return out.String() + "\n" + w.table(table)
}

func (w *world) table(table *Table) string {
	var out strings.Builder
	for i, p := range table.Pieces {
		fmt.Fprintf(&out, "piece %d %s: %d of %d bytes", i, w.names[p.Key], p.Payload, p.Size)
		if b := table.Loaded(i); b != nil {
			if _, err := p.Verify(b); err != nil {
				w.t.Error(err)
			}
			out.WriteString(", loaded")
		}
		out.WriteString("\n")
	}
	for _, e := range table.Entries {
		fmt.Fprintf(&out, "%q %s", e.Path, []string{"file", "directory", "symlink"}[e.Type])
		if e.Mode != 0 {
			fmt.Fprintf(&out, " mode %o", e.Mode)
		}
		if e.Type == Symlink {
			fmt.Fprintf(&out, " to %q", e.Target)
		} else {
			fmt.Fprintf(&out, " of %d:", e.Size)
		}
		for _, s := range e.Spans {
			if s.Piece < 0 {
				fmt.Fprintf(&out, " %d=%q", s.Offset, s.Inline)
			} else {
				fmt.Fprintf(&out, " %d=#%d", s.Offset, s.Piece)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

func (w *world) resolve(root cid.Cid, path string) string {
	var out strings.Builder
	s, err := Resolve(root, path)
	for err == nil && !s.Done {
		fmt.Fprintf(&out, "takes %s\n", w.name(s.CID))
		k, _ := KeyOf(s.CID)
		if s2, err := s.Take(append([]byte("wrong"), w.blocks[k]...)); !errors.Is(err, ErrMismatch) || s2.CID != s.CID {
			w.t.Errorf("a wrong block was taken: %v", err)
		}
		s, err = s.Take(w.blocks[k])
	}
	if err != nil {
		return out.String() + w.say(err)
	}
	return out.String() + "done: " + w.name(s.CID)
}
