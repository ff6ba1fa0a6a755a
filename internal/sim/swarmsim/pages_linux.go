package main

import "syscall"

// largePages has the kernel back so many bytes of the heap with large pages: what a
// crowd costs is mostly waiting for memory, and for where it is. The heap takes what
// is let go of here.
func largePages(bytes int) {
	_ = syscall.Madvise(make([]byte, bytes), syscall.MADV_HUGEPAGE) // without, it is only slower
}
