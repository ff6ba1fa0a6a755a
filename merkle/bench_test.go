package merkle

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	for _, p := range []Profile{UnixFSv1, UnixFSv0} {
		b.Run(p.Name(), func(b *testing.B) {
			payload := new(generator).fill(make([]byte, p.LeafSize()))
			leaf := p.Leaf(payload)
			block, piece := leaf.Block(payload), pieceOf(leaf)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := piece.Verify(block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// manyLeaves makes n distinct leaves without hashing content.
func manyLeaves(n int) []Leaf {
	leaves := make([]Leaf, n)
	for i := range leaves {
		k := Key{0: 0x55}
		binary.BigEndian.PutUint32(k[1:], uint32(i))
		leaves[i] = Leaf{Key: k, CID: k.CID(), Payload: 1 << 20, Size: 1 << 20}
	}
	return leaves
}

// A file of 1 TiB: a million pieces.
func BenchmarkFileOfAMillionPieces(b *testing.B) {
	leaves := manyLeaves(MaxPieces)
	file := func() built {
		f := UnixFSv1.NewFile()
		for _, l := range leaves {
			f.Add(l)
		}
		l, blocks := f.Finish(0)
		return built{l, blocks, nil}
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			file()
		}
	})
	benchmarkRead(b, file())
}

// Directories of files of one leaf each, in 100 directories.
func BenchmarkDirectories(b *testing.B) {
	for _, n := range []int{16703, 50000} {
		leaves := manyLeaves(n)
		directories := func() (out built) {
			var top []DirEntry
			for d := range 100 {
				var entries []DirEntry
				for i := d; i < n; i += 100 {
					f := UnixFSv1.NewFile()
					f.Add(leaves[i])
					l, _ := f.Finish(0)
					entries = append(entries, DirEntry{fmt.Sprintf("file-%06d.bin", i), l})
				}
				l, blocks, err := UnixFSv1.Directory(entries, 0)
				if err != nil {
					b.Fatal(err)
				}
				top = append(top, DirEntry{string(rune('a'+d%26)) + string(rune('a'+d/26)), l})
				out.blocks = append(out.blocks, blocks...)
			}
			l, blocks, err := UnixFSv1.Directory(top, 0)
			if err != nil {
				b.Fatal(err)
			}
			out.Link, out.blocks = l, append(blocks, out.blocks...)
			return out
		}
		name := fmt.Sprint(n)
		b.Run(name+"/build", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				directories()
			}
		})
		b.Run(name, func(b *testing.B) { benchmarkRead(b, directories()) })
	}
}

func benchmarkRead(b *testing.B, t built) {
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tree := start(b, t.CID.String())
			feed(b, tree, t)
			if _, err := tree.Table(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
