package merkle

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/twmb/murmur3"
)

// shardFanout is how many children a shard that we make can have, in both profiles.
const shardFanout = 256

// maxFanout is the widest shard that is read, as in boxo.
const maxFanout = 1024

// shardHash places a name: the first half of murmur3-x64-128, of which each
// level of the trie takes the next bits, highest first.
func shardHash(name string) uint64 { return murmur3.StringSum64(name) }

// shardAt says where a shard stands in its trie: the hash of every name below
// begins with these bits.
type shardAt struct {
	bits   int
	prefix uint64
}

// below is where child i of a shard with width bits an index stands.
func (a shardAt) below(i, width int) shardAt {
	return shardAt{a.bits + width, a.prefix<<width | uint64(i)}
}

// holds tells whether name belongs there.
func (a shardAt) holds(name string) bool {
	return a.bits == 0 || a.bits <= 64 && shardHash(name)>>(64-a.bits) == a.prefix
}

// shardWidth is how many bits of the hash choose a child of n, and how many hex
// digits name it.
func (n node) shardWidth() (width, digits int) {
	width = bits.TrailingZeros64(n.fanout)
	return width, (width + 3) / 4
}

// checkShard holds a shard's header to the bits of its bitfield.
func (n *node) checkShard() error {
	if n.hashType != hashMurmur3 {
		return fmt.Errorf("%w: directory shard with hash 0x%x: only murmur3-x64-64 is known", ErrUnsupported, n.hashType)
	}
	if n.fanout < 8 || n.fanout > maxFanout || n.fanout&(n.fanout-1) != 0 {
		return fmt.Errorf("%w directory shard: fanout %d is no power of two from 8 to %d", ErrMalformed, n.fanout, maxFanout)
	}
	ones := 0
	for _, b := range n.data() {
		ones += bits.OnesCount8(b)
	}
	if len(n.data()) > int(n.fanout/8) || ones != n.links {
		return fmt.Errorf("%w directory shard: a bitfield of %d bytes with %d bits for %d links and fanout %d",
			ErrMalformed, len(n.data()), ones, n.links, n.fanout)
	}
	return nil
}

// bit tells whether the bitfield, a big-endian number, names child i.
func (n node) bit(i int) bool {
	d := n.data()
	at := len(d) - 1 - i/8
	return at >= 0 && d[at]>>(i%8)&1 == 1
}

// shardChild is a link of a shard, taken apart.
type shardChild struct {
	link
	index int
	name  string // "" for a shard below
}

// eachChild reads the children of a shard that stands at a, and refuses lies:
// an index that is not in the bitfield or out of order, a name in a wrong place.
func (n node) eachChild(a shardAt, f func(c shardChild) error) error {
	width, digits := n.shardWidth()
	if a.bits+width > 64 {
		return fmt.Errorf("%w directory shard: deeper than the 64 bits of its hash", ErrMalformed)
	}
	last := -1
	return n.each(func(i int, l link) error {
		if len(l.name) < digits {
			return fmt.Errorf("%w directory shard: link %q has no index", ErrMalformed, clip(string(l.name)))
		}
		prefix, name := string(l.name[:digits]), string(l.name[digits:])
		index, err := strconv.ParseUint(prefix, 16, 16)
		if err != nil || strings.ToUpper(prefix) != prefix || index >= n.fanout {
			return fmt.Errorf("%w directory shard: link %q has no index", ErrMalformed, clip(string(l.name)))
		}
		at := int(index)
		if at <= last || !n.bit(at) {
			return fmt.Errorf("%w directory shard: link %q is out of order or not in the bitfield", ErrMalformed, clip(string(l.name)))
		}
		last = at
		if name != "" && !a.below(at, width).holds(name) {
			return fmt.Errorf("%w directory shard: %q does not belong there", ErrMalformed, clip(name))
		}
		return f(shardChild{l, at, name})
	})
}
