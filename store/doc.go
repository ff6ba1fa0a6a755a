// Package store keeps bytes on disk, indexed by leaf CID.
//
// Files that are added stay where they are; downloads go straight to their
// final place under a temporary name and are renamed when complete and
// verified. The index (bbolt) maps a leaf to the file, offset and length that
// hold it, so a piece that is here under any root is here for all.
//
// Disk is the real store and Mem a small honest one for tests; both pass the
// suite in storetest. Read Store next.
package store
