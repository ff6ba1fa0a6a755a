//go:build unix

package node

import "syscall"

// fileLimit is how many files this process may have open, -1 for no limit.
func fileLimit() int64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<40 {
		return -1
	}
	return int64(l.Cur)
}
