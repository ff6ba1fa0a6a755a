package merkle

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// A CARv1 file (https://ipld.io/specs/transport/car/carv1/) is a header, here
// with one root, and blocks, each part behind its length. The header is the
// dag-cbor map {"roots": [root], "version": 1}, whose bytes are fixed but for
// the root: the four constants below, and the length of the root's CID.
const (
	carRoots   = "\xa2\x65roots\x81"                  // map(2), "roots", array(1)
	carLink    = "\xd8\x2a"                           // tag 42, before a byte string
	carVersion = "\x67version\x01"                    // "version", 1
	car2       = "\xa1\x67version\x02"                // the first part of a CARv2 file
	carMostCID = 1 + 1 + 2 + 2 + MaxIdentity          // bytes of a binary CID
	carMost    = MaxInterior + MaxLoaded + MaxBlock*2 // what ReadCAR reads if told no limit
)

// AppendCAR appends a CARv1 file of root and blocks to b. With the blocks of a
// Tree, or of a builder, it is the tree at hand that an HTTP origin puts beside
// a file. A root that is a leaf has no blocks, and its file is right all the same.
func AppendCAR(b []byte, root cid.Cid, blocks []Block) []byte {
	id := root.Bytes()
	link := append(appendCBORLength([]byte(carLink), len(id)+1), 0) // a CID in dag-cbor has a zero byte before it
	b = binary.AppendUvarint(b, uint64(len(carRoots)+len(link)+len(id)+len(carVersion)))
	b = append(append(b, carRoots...), link...)
	b = append(append(b, id...), carVersion...)
	for _, block := range blocks {
		id := block.CID.Bytes()
		b = binary.AppendUvarint(b, uint64(len(id)+len(block.Data)))
		b = append(append(b, id...), block.Data...)
	}
	return b
}

// appendCBORLength appends the head of a dag-cbor byte string of n bytes, at most 255.
func appendCBORLength(b []byte, n int) []byte {
	if n < 24 {
		return append(b, 0x40|byte(n))
	}
	return append(b, 0x58, byte(n))
}

// ReadCAR reads a CARv1 file with one root: at most limit bytes, or all that a
// tree may have if limit is 0. The blocks are not verified; Tree.Add does that.
// ErrMalformed, ErrUnsupported (CARv2, several roots), ErrTooLarge, or what r
// failed with.
func ReadCAR(r io.Reader, limit int64) (root cid.Cid, blocks []Block, err error) {
	if limit <= 0 {
		limit = carMost
	}
	c := &carReader{r: bufio.NewReader(r), left: limit}
	header, err := c.section(len(carRoots) + len(carLink) + 2 + carMostCID + len(carVersion))
	if err != nil {
		return cid.Undef, nil, fmt.Errorf("read CAR header: %w", err)
	}
	if root, err = carHeader(header); err != nil {
		return cid.Undef, nil, err
	}
	for {
		s, err := c.section(carMostCID + MaxBlock)
		if err == io.EOF {
			return root, blocks, nil
		}
		if err != nil {
			return cid.Undef, nil, fmt.Errorf("read CAR block %d: %w", len(blocks), err)
		}
		n, id, err := cid.CidFromBytes(s)
		if err != nil {
			return cid.Undef, nil, fmt.Errorf("%w CAR block %d: %s", ErrMalformed, len(blocks), cidReason(err))
		}
		blocks = append(blocks, Block{CID: id, Data: s[n:]})
	}
}

// carHeader reads the one header that AppendCAR writes.
func carHeader(h []byte) (cid.Cid, error) {
	if string(h) == car2 {
		return cid.Undef, fmt.Errorf("%w: a CARv2 file; CARv1 is read, as 'ipfs dag export' writes it", ErrUnsupported)
	}
	rest, ok := bytes.CutPrefix(h, []byte(carRoots+carLink))
	if !ok {
		return cid.Undef, fmt.Errorf("%w: no CARv1 file with one root", ErrUnsupported)
	}
	id, ok := bytes.CutSuffix(rest, []byte(carVersion))
	if ok {
		size := len(id) - len(appendCBORLength(nil, len(id)))
		id, ok = bytes.CutPrefix(id, append(appendCBORLength(nil, size), 0))
	}
	if !ok {
		return cid.Undef, fmt.Errorf("%w CAR header", ErrMalformed)
	}
	root, err := cid.Cast(id)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w CAR header: %s", ErrMalformed, cidReason(err))
	}
	_, err = refOf(root)
	return root, err
}

// carReader reads the parts of a CAR file.
type carReader struct {
	r    *bufio.Reader
	left int64
}

// section reads one part, at most most bytes; io.EOF at the end of the file.
func (c *carReader) section(most int) ([]byte, error) {
	size, err := c.length()
	if err != nil {
		return nil, err
	}
	if size > uint64(most) {
		return nil, fmt.Errorf("%w: part of %d bytes, at most %d are allowed", ErrTooLarge, size, most)
	}
	if c.left -= int64(size); c.left < 0 {
		return nil, fmt.Errorf("%w: the file passes its limit", ErrTooLarge)
	}
	s := make([]byte, size)
	if _, err := io.ReadFull(c.r, s); err != nil {
		return nil, cut(err)
	}
	return s, nil
}

// length reads an unsigned varint of at most four bytes, which no part passes.
func (c *carReader) length() (v uint64, err error) {
	for i := range 4 {
		b, err := c.r.ReadByte()
		if err != nil && i > 0 {
			return 0, cut(err)
		}
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: length of a part", ErrMalformed)
}

// cut says that a file ended within a part.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
