// Package merkle names content and proves it: content IDs, UnixFS trees and the
// table of verified pieces of a root.
//
// It is pure: bytes and digests come in, identifiers, blocks and errors go out.
// Reading files and hashing in parallel belong to store, fetching to exchange
// and cdnfallback.
//
// Read Tree next: it turns the interior blocks of a root, verified top-down,
// into the Table that the rest of shoal works with.
package merkle
