package exchange

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestFrameRefused(t *testing.T) {
	t.Parallel()
	good := frame{handle: 7, piece: 9, first: 3, count: 2, length: Block + 1}
	for name, change := range map[string]func(*frame){
		"no blocks":               func(f *frame) { f.count = 0 },
		"past the largest piece":  func(f *frame) { f.first, f.count, f.length = 31, 2, 2*Block },
		"more bytes than blocks":  func(f *frame) { f.length = 2*Block + 1 },
		"fewer bytes than blocks": func(f *frame) { f.length = Block },
		"no bytes":                func(f *frame) { f.count, f.length = 1, 0 },
		"no such piece":           func(f *frame) { f.piece = merkle.MaxPieces },
		"sum overflows":           func(f *frame) { f.first, f.count = ^uint16(0), 2 },
	} {
		f := good
		change(&f)
		if _, err := parseFrame(appendFrame(nil, f)); !errors.Is(err, errProtocol) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got, err := parseFrame(appendFrame(nil, good)); err != nil || got != good {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseFrame(make([]byte, 15)); err == nil {
		t.Error("a short header passes")
	}
}

func TestFrameBits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, count uint16
		want         uint32
	}{{0, 1, 1}, {0, 32, ^uint32(0)}, {31, 1, 1 << 31}, {4, 3, 0b111_0000}} {
		if got := (frame{first: c.first, count: c.count}).bits(); got != c.want {
			t.Errorf("%d+%d: %b, want %b", c.first, c.count, got, c.want)
		}
	}
}

// A request goes on over piece boundaries and ends at the last piece.
func TestSplit(t *testing.T) {
	t.Parallel()
	r := newRoot(nil, makeContent(t, 1, 1, merkle.UnixFSv1).root)
	r.table = &merkle.Table{Pieces: []merkle.Piece{{Size: 1 << 20}, {Size: Block + 1}, {Size: 1}, {Size: Block}}}
	for name, c := range map[string]struct {
		piece, first, count int
		want                [][3]int
	}{
		"a piece":          {0, 0, 16, [][3]int{{0, 0, 16}}},
		"within":           {0, 3, 4, [][3]int{{0, 3, 4}}},
		"over a boundary":  {0, 14, 3, [][3]int{{0, 14, 2}, {1, 0, 1}}},
		"over all":         {0, 15, 5, [][3]int{{0, 15, 1}, {1, 0, 2}, {2, 0, 1}, {3, 0, 1}}},
		"past the end":     {2, 0, 100, [][3]int{{2, 0, 1}, {3, 0, 1}}},
		"after the end":    {4, 0, 1, nil},
		"after the piece":  {1, 2, 1, nil},
		"nothing":          {0, 0, 0, nil},
		"before the start": {-1, 0, 1, nil},
	} {
		var got [][3]int
		for p := range r.split(c.piece, c.first, c.count) {
			got = append(got, [3]int{p.Piece, p.First, p.Count})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for range r.split(0, 0, 40) {
		break
	}
	r.table = nil
	if got := slices.Collect(r.split(0, 0, 1)); got != nil {
		t.Errorf("without a table: %v", got)
	}
}

func TestAsks(t *testing.T) {
	t.Parallel()
	a, b := Ask{Piece: 0, First: 2, Count: 3, Size: 5 * Block}, Ask{Piece: 1, Count: 1, Size: 10}
	if !b.follows(a) || a.follows(b) || (Ask{Piece: 1, First: 1}).follows(a) || b.follows(Ask{Piece: 0, Count: 3, Size: 5 * Block}) {
		t.Error("follows is wrong")
	}
	if a.bytes() != 3*Block || b.bytes() != 10 || (Ask{First: 1, Count: 5, Size: Block + 7}).bytes() != 7 {
		t.Errorf("bytes %d, %d", a.bytes(), b.bytes())
	}
}

func limited(n int) func() int { return func() int { return n } }

func TestMessageRefused(t *testing.T) {
	t.Parallel()
	hello, _ := appendMessage(nil, &pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: strings.Repeat("a", 100)}}})
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"endless length": {bytes.Repeat([]byte{0xff}, 40), nil},
		"too long":       {protowire.AppendVarint(nil, 1001), errProtocol},
		"huge":           {protowire.AppendVarint(nil, 1<<63), errProtocol},
		"cut length":     {[]byte{0x80}, io.ErrUnexpectedEOF},
		"cut body":       {hello[:50], io.ErrUnexpectedEOF},
		"no body":        {hello[:1], io.ErrUnexpectedEOF},
		"garbage":        {[]byte{3, 0xff, 0xff, 0xff}, errProtocol},
		"bad utf-8":      {[]byte{5, 0x0a, 3, 0x0a, 1, 0xff}, errProtocol},
		"end":            {nil, io.EOF},
	} {
		var buf []byte
		m, err := readMessage(bufio.NewReader(bytes.NewReader(c.in)), &buf, limited(1000))
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: got %v, %v, want %v", name, m, err, c.want)
		}
	}
}

// A message costs memory as it arrives, not as it announces itself.
func TestLengthAloneCostsNothing(t *testing.T) {
	t.Parallel()
	var buf []byte
	in := append(protowire.AppendVarint(nil, maxReply), make([]byte, 1000)...)
	if _, err := readMessage(bufio.NewReader(bytes.NewReader(in)), &buf, limited(maxReply)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if cap(buf) > 64<<10 {
		t.Errorf("%d bytes for 1000 that came", cap(buf))
	}
}

// tinyFields is a message that takes n*2 bytes on the wire and would take 24
// times as many as blocks in memory.
func tinyFields(n int) []byte {
	body := bytes.Repeat([]byte{2<<3 | 2, 0}, n)
	b := protowire.AppendTag(nil, 7, protowire.BytesType)
	return append(protowire.AppendVarint(b, uint64(len(body))), body...)
}

func TestTinyFields(t *testing.T) {
	t.Parallel()
	if n := countFields(tinyFields(1000)); n != 1001 {
		t.Errorf("%d fields, want 1001", n)
	}
	if _, err := parseMessage(tinyFields(maxNodes)); err != nil {
		t.Errorf("a reply of %d blocks: %v", maxNodes, err)
	}
	if _, err := parseMessage(tinyFields(1 << 20)); !errors.Is(err, errProtocol) {
		t.Errorf("got %v", err)
	}
	// The same one level up: the last of many bodies counts, and all cost.
	many := bytes.Repeat([]byte{14<<3 | 2, 0}, maxFields+1)
	if _, err := parseMessage(many); !errors.Is(err, errProtocol) {
		t.Errorf("got %v", err)
	}
}

// The largest messages that this side writes are within the limits.
func TestOwnMessagesFit(t *testing.T) {
	t.Parallel()
	runs := make([]uint32, maxRuns)
	for i := range runs {
		runs[i] = merkle.MaxPieces
	}
	nodes := make([][]byte, maxNodes)
	for i := range nodes {
		nodes[i] = make([]byte, maxTree/maxNodes-1)
	}
	nodes[len(nodes)-1] = make([]byte, merkle.MaxBlock)
	for name, c := range map[string]struct {
		m     *pb.Message
		limit int
	}{
		"haves": {haveMessage(1, false, runs), maxMessage},
		"tree":  {&pb.Message{Body: &pb.Message_TreeReply{TreeReply: &pb.TreeReply{Id: 1, Blocks: nodes, More: true}}}, maxReply},
		"hello": {&pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: strings.Repeat("a", maxAgent), Session: 1}}}, maxHello},
	} {
		b, err := appendMessage(nil, c.m)
		if err != nil {
			t.Fatal(err)
		}
		var buf []byte
		if _, err := readMessage(bufio.NewReader(bytes.NewReader(b)), &buf, limited(c.limit)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
