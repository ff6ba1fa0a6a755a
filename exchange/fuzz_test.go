package exchange

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
	"google.golang.org/protobuf/proto"
)

// FuzzFrame: a header that parses is the one that its frame makes.
func FuzzFrame(f *testing.F) {
	for _, v := range frameVectors {
		f.Add(appendFrame(nil, v.frame))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseFrame(b)
		if err != nil {
			return
		}
		if got := appendFrame(nil, h); !bytes.Equal(got, b) {
			t.Errorf("%+v: %x, was %x", h, got, b)
		}
		if n := blocks(int(h.length)); n != int(h.count) {
			t.Errorf("%d bytes in %d blocks", h.length, h.count)
		}
	})
}

// FuzzFrameFields: a frame within the limits comes back from its header, and any
// other is refused.
func FuzzFrameFields(f *testing.F) {
	for _, v := range frameVectors {
		f.Add(v.frame.handle, v.frame.piece, v.frame.first, v.frame.count, v.frame.length)
	}
	f.Add(uint32(1), uint32(merkle.MaxPieces), uint16(0), uint16(1), uint32(1))
	f.Add(uint32(1), uint32(0), uint16(maxBlocks), uint16(1), uint32(1))
	f.Add(uint32(1), uint32(0), uint16(0), uint16(2), uint32(Block))
	f.Add(uint32(1), uint32(0), uint16(0), uint16(1), uint32(Block+1))
	f.Fuzz(func(t *testing.T, handle, piece uint32, first, count uint16, length uint32) {
		in := frame{handle, piece, first, count, length}
		fits := piece < merkle.MaxPieces && count > 0 && int(first)+int(count) <= maxBlocks && blocks(int(length)) == int(count)
		out, err := parseFrame(appendFrame(nil, in))
		if (err == nil) != fits || fits && out != in {
			t.Errorf("%+v came back as %+v, %v", in, out, err)
		}
	})
}

// FuzzRuns: a list that decodes is the one that its runs encode to, and what
// any set of pieces encodes to decodes to it.
func FuzzRuns(f *testing.F) {
	var have HaveMap
	for _, p := range []int{0, 1, 2, 7, 8, 64, 1000, merkle.MaxPieces - 1} {
		have.Add(p)
		for nums := range runLists(have.Runs()) {
			f.Add(asBytes(nums), uint32(merkle.MaxPieces))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, limit uint32) {
		nums := make([]uint32, len(b)/4)
		for i := range nums {
			nums[i] = binary.LittleEndian.Uint32(b[i*4:])
		}
		runs, err := decodeRuns(nums, int(limit))
		if err == nil {
			if got := slices.Concat(slices.Collect(runLists(slices.Values(runs)))...); !slices.Equal(got, nums) {
				t.Errorf("%v: %v, was %v", runs, got, nums)
			}
			for _, r := range runs {
				if r.Count < 1 || r.First < 0 || r.First+r.Count > min(int(limit), merkle.MaxPieces) {
					t.Errorf("%v of %d pieces", r, limit)
				}
			}
		}
		var m, back HaveMap
		for _, n := range nums {
			m.Add(int(n % 5000))
		}
		for list := range runLists(m.Runs()) {
			runs, err := decodeRuns(list, 5000)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				for i := range r.Count {
					back.Add(r.First + i)
				}
			}
		}
		if !slices.Equal(slices.Collect(back.All()), slices.Collect(m.All())) {
			t.Errorf("%v came back as %v", m, back)
		}
	})
}

func asBytes(nums []uint32) (b []byte) {
	for _, n := range nums {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// FuzzMessage: parse(append(m)) == m for whatever parses, and bytes that are
// in canonical form come out as they went in.
func FuzzMessage(f *testing.F) {
	for _, v := range messageVectors() {
		b, err := proto.Marshal(v.m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c := makeContent(f, 1, 400_000, merkle.UnixFSv0)
	reply := &pb.TreeReply{Id: 3, More: true}
	for _, n := range c.tree {
		reply.Blocks = append(reply.Blocks, c.blocks[n.KeyString()])
	}
	b, err := proto.Marshal(&pb.Message{Body: &pb.Message_TreeReply{TreeReply: reply}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(tinyFields(100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		again, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseMessage(again)
		if err != nil || !proto.Equal(back, m) {
			t.Fatalf("%v came back as %v, %v", m, back, err)
		}
		if third, err := proto.Marshal(back); err != nil || !bytes.Equal(third, again) {
			t.Errorf("%x, then %x, %v", again, third, err)
		}
		if framed, err := appendMessage(nil, m); err != nil || !bytes.HasSuffix(framed, again) {
			t.Errorf("framed %x, %v", framed, err)
		}
	})
}
