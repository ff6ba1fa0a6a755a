package exchange

import (
	"testing"

	"github.com/shoal-p2p/shoal/merkle"
)

// BenchmarkPiece moves pieces of 1 MiB from one node to another over loopback
// TCP with TLS: request, queue, ledger, cache, frame, buffer, event.
func BenchmarkPiece(b *testing.B) {
	benchmarkPieces(b, "tcp")
}

// BenchmarkPieceQUIC is BenchmarkPiece over QUIC.
func BenchmarkPieceQUIC(b *testing.B) {
	benchmarkPieces(b, "quic")
}

func benchmarkPieces(b *testing.B, transport string) {
	n := newNodes(b, transport, 2, Config{})
	c := makeContent(b, 50, 16<<20, merkle.UnixFSv1)
	n[1].put(c)
	r, events := n[0].open(c.root)
	s := n[0].dial(n[1])
	r.Join(s)
	await[Haves](b, events)
	ask := func(i int) { r.Request(s, []Ask{{Piece: i % 16, Count: 16, Size: 1 << 20}}) }
	const window = 8
	for i := range window {
		ask(i)
	}
	asked := window
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		await1(events).Release()
		ask(asked)
		asked++
	}
	r.Close()
}

// await1 is await without its timer.
func await1(events <-chan Event) Received {
	for {
		if got, ok := (<-events).(Received); ok {
			return got
		}
	}
}
