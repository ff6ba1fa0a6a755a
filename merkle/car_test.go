package merkle

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
)

// TestCAR writes and reads the trees of all kinds of roots.
func TestCAR(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		root   string
		blocks []Block
	}{
		{"raw root without blocks", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", nil},
		{"short identity root", "bafkqabtimvwgy3yk", nil},
		{"CIDv0", "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", nil},
		{"tree", "", build(t, UnixFSv1, content{Leaves: 1024*2 + 1}).blocks},
		{"legacy tree", "", build(t, UnixFSv0, content{Leaves: 175}).blocks},
	} {
		if c.root == "" {
			c.root = c.blocks[0].CID.String()
		}
		root, err := Parse(c.root)
		if err != nil {
			t.Fatal(err)
		}
		file := AppendCAR([]byte("x"), root, c.blocks)[1:]
		gotRoot, got, err := ReadCAR(iotest.OneByteReader(bytes.NewReader(file)), int64(len(file)))
		if err != nil || gotRoot != root || !reflect.DeepEqual(got, c.blocks) {
			t.Errorf("%s: read %d blocks of %s, %v", c.name, len(got), gotRoot, err)
		}
		for i := 0; i < len(file); i += 1 + len(file)/500 {
			if _, blocks, err := ReadCAR(bytes.NewReader(file[:i]), 0); err == nil && len(blocks) >= len(c.blocks) {
				t.Errorf("%s: read whole from %d of %d bytes", c.name, i, len(file))
			}
		}
	}
}

// TestCARRefuses names what is no such file.
func TestCARRefuses(t *testing.T) {
	t.Parallel()
	root := start(t, dirText).rootCID
	good := AppendCAR(nil, root, []Block{{CID: root, Data: []byte("data")}})
	boom := errors.New("boom")
	for _, c := range []struct {
		name  string
		in    io.Reader
		limit int64
		want  error
	}{
		{"empty", bytes.NewReader(nil), 0, io.EOF},
		{"html", bytes.NewReader([]byte("<!doctype html><title>404</title>" + string(make([]byte, 300)))), 0, ErrUnsupported},
		{"CARv2", bytes.NewReader([]byte("\x0a\xa1\x67version\x02xxxxxxx")), 0, ErrUnsupported},
		{"limit", bytes.NewReader(good), int64(len(good)) - 10, ErrTooLarge},
		{"giant part", bytes.NewReader(append(bytes.Clone(good), 0xff, 0xff, 0xff, 0x7f)), 0, ErrTooLarge},
		{"part above a block", bytes.NewReader(append(bytes.Clone(good), 0x80, 0x80, 0xc0, 0x01)), 0, ErrTooLarge},
		{"giant length", bytes.NewReader(append(bytes.Clone(good), 0xff, 0xff, 0xff, 0xff)), 0, ErrMalformed},
		{"cut length", bytes.NewReader(append(bytes.Clone(good), 0xff)), 0, io.ErrUnexpectedEOF},
		{"no CID", bytes.NewReader(append(bytes.Clone(good), 2, 9, 9)), 0, ErrMalformed},
		{"broken reader", io.MultiReader(bytes.NewReader(good), iotest.ErrReader(boom)), 0, boom},
		{"bad version", bytes.NewReader(bytes.Replace(good, []byte("version\x01"), []byte("version\x03"), 1)), 0, ErrMalformed},
		{"bad tag", bytes.NewReader(bytes.Replace(good, []byte("\xd8\x2a"), []byte("\xd8\x2b"), 1)), 0, ErrUnsupported},
		{"bad root", bytes.NewReader(bytes.Replace(good, root.Bytes(), append([]byte{1, 0x71}, root.Bytes()[2:]...), 1)), 0, ErrUnsupported},
	} {
		if _, _, err := ReadCAR(c.in, c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// FuzzCAR: what is read is written and read back the same.
func FuzzCAR(f *testing.F) {
	root := start(f, dirText).rootCID
	f.Add(AppendCAR(nil, root, []Block{{CID: root, Data: []byte("data")}}))
	f.Add(AppendCAR(nil, start(f, "bafkqabtimvwgy3yk").rootCID, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		root, blocks, err := ReadCAR(bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		file := AppendCAR(nil, root, blocks)
		root2, blocks2, err := ReadCAR(bytes.NewReader(file), 1<<20)
		if err != nil || root2 != root || !reflect.DeepEqual(blocks2, blocks) || !bytes.Equal(AppendCAR(nil, root2, blocks2), file) {
			t.Fatalf("%x reads as %s and %d blocks, then as %s and %d, %v", b, root, len(blocks), root2, len(blocks2), err)
		}
	})
}
