package node

import (
	"bytes"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/shoal-p2p/shoal/merkle"
)

// An origin that has the payload alone gives the leaf that its writer framed:
// as a file, which is canonical, or as raw data, as trickle trees have it.
func TestReadPieceFindsTheFrame(t *testing.T) {
	t.Parallel()
	payload := []byte("0123456789")
	raw := merkle.UnixFSv1.Leaf(payload)
	file := merkle.UnixFSv0.Leaf(payload)
	canonical := file.Block(payload)
	bare := bytes.Replace(canonical, []byte{0x08, 0x02}, []byte{0x08, 0x00}, 1) // UnixFS type Raw for File
	if bytes.Equal(bare, canonical) {
		t.Fatal("the type is not where it was")
	}
	for name, p := range map[string]merkle.Piece{
		"raw leaf": {Key: raw.Key, Size: raw.Size, Payload: len(payload)},
		"file":     {Key: file.Key, Size: file.Size, Payload: len(payload)},
		"raw data": {Key: dagKey(t, bare), Size: len(bare), Payload: len(payload)},
	} {
		data, err := readPiece(bytes.NewReader(payload), p)
		must(t, err)
		if _, err := p.Verify(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if data, err = readPiece(bytes.NewReader([]byte("0123456780")), p); err == nil {
			_, err = p.Verify(data)
		}
		if err == nil {
			t.Errorf("%s: wrong bytes verify", name)
		}
		if _, err := readPiece(bytes.NewReader(payload[:9]), p); err == nil {
			t.Errorf("%s: a short payload is no error", name)
		}
	}
}

// dagKey names a dag-pb block.
func dagKey(t *testing.T, block []byte) merkle.Key {
	t.Helper()
	c, err := cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256}.Sum(block)
	must(t, err)
	k, ok := merkle.KeyOf(c)
	if !ok {
		t.Fatalf("%v has no key", c)
	}
	return k
}
