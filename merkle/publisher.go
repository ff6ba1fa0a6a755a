package merkle

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"
)

// Publisher is the Ed25519 public key of who signs manifests.
type Publisher [ed25519.PublicKeySize]byte

// A public key as libp2p writes it: a protobuf message with the key's type,
// which is 1 for Ed25519, and its bytes. Behind the head of an identity
// multihash it is the binary peer ID.
const (
	keyMessage = "\x08\x01\x12\x20"
	peerID     = "\x00\x24" + keyMessage
)

// String is the key as libp2p writes peer IDs: 12D3KooW…
func (p Publisher) String() string {
	return multihash.Multihash(append([]byte(peerID), p[:]...)).B58String()
}

// ParsePublisher reads what String wrote. ErrMalformed for all else.
func ParsePublisher(s string) (Publisher, error) {
	const most = 64 // characters; String has 52
	if len(s) <= most {
		mh, err := multihash.FromB58String(s)
		if key, ok := bytes.CutPrefix(mh, []byte(peerID)); err == nil && ok && len(key) == ed25519.PublicKeySize {
			return Publisher(key), nil
		}
	}
	return Publisher{}, fmt.Errorf("%w publisher %q: it looks like 12D3KooW…, as 'shoal key show' prints it", ErrMalformed, clip(s))
}

// publisherOf names the public half of a key.
func publisherOf(key ed25519.PrivateKey) (Publisher, error) {
	if len(key) != ed25519.PrivateKeySize {
		return Publisher{}, fmt.Errorf("%w key of %d bytes, an Ed25519 one has %d", ErrMalformed, len(key), ed25519.PrivateKeySize)
	}
	return Publisher(key[ed25519.SeedSize:]), nil
}

// A manifest is signed in a libp2p signed envelope (RFC 0002), with a domain and
// a payload type of its own: what was signed for anything else is no manifest.
const (
	manifestDomain = "shoal-manifest"
	manifestType   = "/shoal/manifest/1"
)

// The fields of an envelope.
const envelopeKey, envelopeType, envelopePayload, envelopeSignature protowire.Number = 1, 2, 3, 5

// unsigned is what an envelope's signature covers.
func unsigned(payload []byte) []byte {
	var b []byte
	for _, field := range []string{manifestDomain, manifestType, string(payload)} {
		b = protowire.AppendString(b, field)
	}
	return b
}

// sealEnvelope signs a payload.
func sealEnvelope(key ed25519.PrivateKey, payload []byte) ([]byte, error) {
	p, err := publisherOf(key)
	if err != nil {
		return nil, err
	}
	return appendEnvelope(nil, p, payload, ed25519.Sign(key, unsigned(payload))), nil
}

func appendEnvelope(b []byte, p Publisher, payload, signature []byte) []byte {
	b = appendBytes(b, envelopeKey, slices.Concat([]byte(keyMessage), p[:]))
	b = appendBytes(b, envelopeType, []byte(manifestType))
	b = appendBytes(b, envelopePayload, payload)
	return appendBytes(b, envelopeSignature, signature)
}

// openEnvelope verifies an envelope and returns its signer and payload, which is
// a part of it. There is one way to write an envelope; others are ErrMalformed.
func openEnvelope(b []byte) (p Publisher, payload []byte, err error) {
	if len(b) > MaxEnvelope {
		return p, nil, fmt.Errorf("%w: a manifest of %d bytes, at most %d are allowed", ErrTooLarge, len(b), MaxEnvelope)
	}
	var signature []byte
	err = fields(b, func(n protowire.Number, typ protowire.Type, _ int, v []byte) error {
		if typ == protowire.BytesType {
			switch n {
			case envelopeKey:
				if key, ok := bytes.CutPrefix(v, []byte(keyMessage)); ok && len(key) == len(p) {
					p = Publisher(key)
				}
			case envelopePayload:
				payload = v
			case envelopeSignature:
				signature = v
			}
		}
		return nil
	})
	if err != nil {
		return p, nil, fmt.Errorf("%w manifest: %w", ErrMalformed, err)
	}
	if !bytes.Equal(b, appendEnvelope(nil, p, payload, signature)) {
		return p, nil, fmt.Errorf("%w manifest: it is no signed envelope of %s", ErrMalformed, manifestType)
	}
	if !ed25519.Verify(p[:], unsigned(payload), signature) {
		return p, nil, fmt.Errorf("%w: it is not what %v has signed", ErrSignature, p)
	}
	return p, payload, nil
}
