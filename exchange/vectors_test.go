package exchange

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"google.golang.org/protobuf/proto"
)

// vectorRoot is the CID that the vectors name.
var vectorRoot = cid.MustParse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")

// frameVectors are what testdata/frames.hex holds.
var frameVectors = []struct {
	name  string
	frame frame
}{
	{"a piece of 1 MiB", frame{handle: 1, piece: 0, first: 0, count: 16, length: 1 << 20}},
	{"two blocks in the middle", frame{handle: 1, piece: 258, first: 4, count: 2, length: 2 * Block}},
	{"the end of a piece of 1000000 bytes", frame{handle: 3, piece: 65536, first: 15, count: 1, length: 1000000 - 15*Block}},
	{"the largest piece", frame{handle: 0xffffffff, piece: 1<<20 - 1, first: 0, count: 32, length: 2 << 20}},
	{"one byte", frame{handle: 2, piece: 5, first: 0, count: 1, length: 1}},
}

type messageVector struct {
	name string
	m    *pb.Message
}

// messageVectors are what testdata/messages.hex holds.
func messageVectors() []messageVector {
	runs := []uint32{0, 3, 2, 2, 83, 10} // pieces 0-2, 5-6, 90-99
	return []messageVector{
		{"hello", &pb.Message{Body: &pb.Message_Hello{Hello: &pb.Hello{Agent: "shoal/1.0.0", Session: 0x0102030405060708}}}},
		{"open", openMessage(1, vectorRoot, 100, false)},
		{"open, asking", openMessage(1, vectorRoot, 0, true)},
		{"open, knowing 16 peers", knowing(openMessage(1, vectorRoot, 100, true), 16)},
		{"open, missing", openMessage(0, vectorRoot, 0, false)},
		{"close", closeMessage(1)},
		{"have all", haveMessage(1, true, nil)},
		{"have 0-2, 5-6, 90-99", haveMessage(1, false, runs)},
		{"unhave 0-2, 5-6, 90-99", &pb.Message{Body: &pb.Message_Unhave{Unhave: &pb.Unhave{Handle: 1, Runs: runs}}}},
		{"tree request", &pb.Message{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{Id: 1, Node: vectorRoot.Bytes(), Skip: 300, MaxBlocks: 0}}}},
		{"tree reply", &pb.Message{Body: &pb.Message_TreeReply{TreeReply: &pb.TreeReply{Id: 1, Blocks: [][]byte{{0x0a, 0x02, 0x08, 0x01}}, More: true}}}},
		{"tree reply, missing", &pb.Message{Body: &pb.Message_TreeReply{TreeReply: &pb.TreeReply{Id: 2, Missing: true}}}},
		{"request 17 blocks from block 15 of piece 7", &pb.Message{Body: &pb.Message_Request{Request: &pb.Request{Handle: 1, Piece: 7, First: 15, Count: 17}}}},
		{"cancel", &pb.Message{Body: &pb.Message_Cancel{Cancel: &pb.Cancel{Handle: 1, Piece: 7}}}},
		{"reject, not held", &pb.Message{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: 1, Piece: 7, Reason: pb.Reject_NOT_HELD}}}},
		{"reject, busy", &pb.Message{Body: &pb.Message_Reject{Reject: &pb.Reject{Handle: 1, Piece: 8, Reason: pb.Reject_BUSY}}}},
		{"bad", &pb.Message{Body: &pb.Message_Bad{Bad: &pb.Bad{Handle: 1, Piece: 7}}}},
		{"claim 5-6 for 4 s", &pb.Message{Body: &pb.Message_Claim{Claim: &pb.Claim{Handle: 1, Runs: []uint32{5, 2}, TtlMs: 4000}}}},
		{"claim 5-6 for 3.9 s, relayed", &pb.Message{Body: &pb.Message_Claim{Claim: &pb.Claim{Handle: 1, Runs: []uint32{5, 2}, TtlMs: 3900, Relayed: 1}}}},
		{"peers", &pb.Message{Body: &pb.Message_Peers{Peers: &pb.Peers{Handle: 1, Records: [][]byte{{0xde, 0xad}}}}}},
		{"ping", &pb.Message{Body: &pb.Message_Ping{Ping: &pb.Ping{Nonce: 300}}}},
		{"pong", &pb.Message{Body: &pb.Message_Pong{Pong: &pb.Ping{Nonce: 300}}}},
		{"reserved: have the first 3 blocks of piece 4", &pb.Message{Body: &pb.Message_Have{Have: &pb.Have{Handle: 1, Partial: []*pb.Partial{{Piece: 4, Blocks: 3}}}}}},
		{"reserved: sub-hashes", &pb.Message{Body: &pb.Message_SubHashes{SubHashes: &pb.SubHashes{Handle: 1, Piece: 7, Digests: []byte{1, 2, 3}}}}},
	}
}

func knowing(open *pb.Message, peers uint32) *pb.Message {
	open.GetOpen().Known = peers
	return open
}

// readVectors reads a file of lines "name: hex", with # before comments.
func readVectors(t *testing.T, path string) (names []string, data [][]byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndex(line, ": ")
		b, err := hex.DecodeString(strings.ReplaceAll(line[at+2:], " ", ""))
		if err != nil {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		names, data = append(names, line[:at]), append(data, b)
	}
	return names, data
}

func TestFrameVectors(t *testing.T) {
	t.Parallel()
	names, data := readVectors(t, "testdata/frames.hex")
	if len(names) != len(frameVectors)+1 {
		t.Fatalf("%d vectors, want %d and the preamble", len(names), len(frameVectors))
	}
	if got := binary.BigEndian.AppendUint64(nil, 0x0102030405060708); !bytes.Equal(got, data[0]) {
		t.Errorf("%s: %x", names[0], got)
	}
	for i, v := range frameVectors {
		if got := appendFrame(nil, v.frame); names[i+1] != v.name || !bytes.Equal(got, data[i+1]) {
			t.Errorf("%s: %x, the file has %s: %x", v.name, got, names[i+1], data[i+1])
		}
		if got, err := parseFrame(data[i+1]); err != nil || got != v.frame {
			t.Errorf("%s: parsed to %+v, %v", v.name, got, err)
		}
	}
}

func TestMessageVectors(t *testing.T) {
	t.Parallel()
	names, data := readVectors(t, "testdata/messages.hex")
	vectors := messageVectors()
	for i, v := range vectors {
		b, err := appendMessage(nil, v.m)
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(names) || names[i] != v.name || !bytes.Equal(b, data[i]) {
			t.Errorf("the file lacks %s: %x", v.name, b)
			continue
		}
		var buf []byte
		m, err := readMessage(bufio.NewReader(bytes.NewReader(data[i])), &buf, limited(maxMessage))
		if err != nil || !proto.Equal(m, v.m) {
			t.Errorf("%s: read as %v, %v", v.name, m, err)
		}
	}
	if len(names) > len(vectors) {
		t.Errorf("%d vectors that nothing checks", len(names)-len(vectors))
	}
}
