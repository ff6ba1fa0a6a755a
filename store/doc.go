// Package store keeps bytes on disk, indexed by leaf CID.
//
// Files that are added stay where they are; downloads go straight to a
// temporary name beside their final place and get the final name when they are
// complete, verified and durable. A piece that is here under any root is here
// for all. The package makes no API promise.
//
// The index, DIR/index.db (bbolt), knows roots, the interior blocks of their
// trees, and places: a place is a tree of files, or one file in DIR/pieces, that
// holds pieces of a root. A leaf's Key and the number of a file lead to the
// offset, length and frame of the leaf in it, so reading a piece is one look-up,
// one read and one hash; nothing is read when the store opens. Records are in
// record.go, buckets in index.go.
//
// A tree of files is the user's, and so is a file of pieces that Add copied. What
// Create keeps without a path is the store's own: Evict deletes it, least
// recently used first, unless its root is pinned or in use.
//
// What ReadPiece returns has been hashed after it was read, so a file that
// changed, a disk that rots and an index that is wrong can withdraw a piece and
// never serve a wrong one. What the index claims of a download was durable
// before it was claimed, and is hashed again when the download is resumed; see
// diskWriter, TestCrash and TestFaultPoints, which lets every operation fail.
//
// Disk is the real store and Mem a small honest one for tests; both pass the
// suite in storetest. Goroutines are started only within a call and end with
// it. Read Store next, then Disk.Add and diskWriter.
package store
