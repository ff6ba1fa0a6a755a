// Package merkle names content and proves it: content IDs, UnixFS trees, the
// table of verified pieces of a root, and manifests that a publisher has signed.
//
// It is pure: bytes and digests come in, identifiers, blocks and errors go out.
// Reading files and hashing in parallel belong to store, fetching to exchange
// and cdnfallback. Nothing here is safe for use by several goroutines at once
// but Table, Profile and other values, which do not change.
//
// # Building
//
// A Profile turns bytes into a tree as other IPFS tools do. Hash the chunks with
// Leaf, on as many cores as there are, and hand them to a FileBuilder in order;
// make directories from the links of what is in them. Builders return the
// interior blocks only: leaves stay where the bytes are. TestIPIP499 and
// TestVectors hold the CIDs to the specification's and to two other
// implementations'.
//
// # Reading
//
// A Tree asks for the interior blocks of a root from the root down and takes
// nothing else, so what it holds is proved. When it is complete, Table numbers
// the distinct leaves: a Piece is verified by itself, in any order, from any
// source. Any UnixFS tree is read, not only those of the profiles; TestTree has
// the rules as scenarios. Resolve walks a path through directories without
// loading the rest.
//
// # Publishing
//
// A Manifest says which root is the newest version of a name. Its publisher
// signs it in a libp2p envelope, which is written and read here with the
// standard library's Ed25519, so that no network code is linked; a test holds it
// to libp2p's. ReadSigned reads it as a file, with tree and sub-hashes.
//
// Read Tree next: its rules are what everybody who exchanges a root agrees on.
package merkle
