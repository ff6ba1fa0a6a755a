package merkle

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// ref is a CID taken apart: what a link points at.
type ref struct {
	key      Key    // codec and digest; the codec alone for an identity CID
	v0       bool   // written as CIDv0
	identity bool   // the CID holds its content
	content  []byte // of an identity CID
}

func (r ref) raw() bool { return r.key[0] == cid.Raw }

// cid puts r together again.
func (r ref) cid() cid.Cid {
	if !r.identity {
		return r.key.cid(r.v0)
	}
	mh, err := multihash.Encode(r.content, multihash.IDENTITY)
	if err != nil {
		panic("merkle: identity multihash refused: " + err.Error()) // its length was checked
	}
	return cid.NewCidV1(uint64(r.key[0]), mh)
}

// parseRef reads a binary CID. Trees hold a million of them, so the two common
// shapes, CIDv0 and a CIDv1 of 36 bytes with sha2-256, are read without allocating.
func parseRef(b []byte) (r ref, err error) {
	const sha256Code, sha256Len = multihash.SHA2_256, 32
	switch {
	case len(b) == 34 && b[0] == sha256Code && b[1] == sha256Len:
		r.key[0], r.v0 = cid.DagProtobuf, true
		copy(r.key[1:], b[2:])
		return r, nil
	case len(b) == 36 && b[0] == 1 && (b[1] == cid.Raw || b[1] == cid.DagProtobuf) && b[2] == sha256Code && b[3] == sha256Len:
		r.key[0] = b[1]
		copy(r.key[1:], b[4:])
		return r, nil
	}
	c, err := cid.Cast(b)
	if err != nil {
		return r, fmt.Errorf("%w CID: %w", ErrMalformed, err)
	}
	return refOf(c)
}

// refOf checks that c is of a kind that shoal fetches.
func refOf(c cid.Cid) (r ref, err error) {
	if !c.Defined() {
		return r, fmt.Errorf("%w content ID: it is undefined", ErrMalformed)
	}
	p := c.Prefix()
	if p.Codec != cid.Raw && p.Codec != cid.DagProtobuf {
		return r, fmt.Errorf("%w: %s holds %s: only files and directories (raw and dag-pb) can be fetched%s",
			ErrUnsupported, c, codecName(p.Codec), codecHint(p.Codec))
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil {
		return r, fmt.Errorf("%w CID: %w", ErrMalformed, err)
	}
	r.key[0], r.v0 = byte(p.Codec), p.Version == 0
	switch {
	case mh.Code == multihash.SHA2_256 && mh.Length == 32:
		copy(r.key[1:], mh.Digest)
	case mh.Code == multihash.SHA2_256:
		return r, fmt.Errorf("%w CID: its sha2-256 digest has %d bytes, want 32", ErrMalformed, mh.Length)
	case mh.Code == multihash.IDENTITY && mh.Length <= MaxIdentity:
		r.identity, r.content = true, mh.Digest
	case mh.Code == multihash.IDENTITY:
		return r, fmt.Errorf("%w: the identity CID holds %d bytes, at most %d are allowed", ErrUnsupported, mh.Length, MaxIdentity)
	default:
		return r, fmt.Errorf("%w: %s uses %s: only sha2-256 content can be fetched; ask the publisher for a sha2-256 CID",
			ErrUnsupported, c, hashName(mh.Code))
	}
	return r, nil
}

// codecName names the codecs that people paste most, and others by number.
func codecName(codec uint64) string {
	switch codec {
	case cid.DagCBOR:
		return "dag-cbor"
	case cid.DagJSON:
		return "dag-json"
	case cid.Libp2pKey:
		return "libp2p-key"
	}
	return fmt.Sprintf("codec 0x%x", codec)
}

func hashName(code uint64) string {
	if name, ok := multihash.Codes[code]; ok {
		return name
	}
	return fmt.Sprintf("hash 0x%x", code)
}

func codecHint(codec uint64) string {
	if codec == cid.Libp2pKey {
		return "; this is an IPNS name or peer ID, resolve it to a content ID first"
	}
	return ""
}

// maxCIDText bounds the text of a CID: an identity CID of MaxIdentity bytes in base 2, with room.
const maxCIDText = 2048

// Parse reads a content ID: CIDv0, or CIDv1 in any multibase, of a file or
// directory (codec raw or dag-pb) with sha2-256, or with the identity hash and
// at most MaxIdentity bytes. Errors are ErrMalformed or ErrUnsupported and say
// what to do where that is known.
func Parse(s string) (cid.Cid, error) {
	if s == "" {
		return cid.Undef, fmt.Errorf("%w content ID: it is empty; paste what 'shoal share' or 'ipfs add' printed", ErrMalformed)
	}
	if len(s) > maxCIDText {
		return cid.Undef, fmt.Errorf("%w content ID: %d characters, at most %d are allowed", ErrMalformed, len(s), maxCIDText)
	}
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w content ID %q: %s; it should look like bafy…, bafk… or Qm…", ErrMalformed, clip(s), cidReason(err))
	}
	if _, err := refOf(c); err != nil {
		return cid.Undef, err
	}
	return c, nil
}

// cidReason drops the prefix that go-cid puts before each of its reasons.
func cidReason(err error) string { return strings.TrimPrefix(err.Error(), "invalid cid: ") }

// clip shortens what a stranger wrote for an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
