//go:build !linux || 386 || s390x

package node

import "net"

// byRecord is c: how to be woken for whole records, and how to read and write past
// the scheduler, differs from system to system.
func byRecord(c net.Conn) net.Conn { return c }
