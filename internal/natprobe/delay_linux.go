package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// delay joins two network namespaces by a pair of TAP devices and carries frames
// between them, late. It says "up" when both devices are there, and ends when one
// goes away.
func delay(args []string) error {
	fs := flag.NewFlagSet("delay", flag.ContinueOnError)
	ns1 := fs.String("ns1", "", "a network namespace")
	if1 := fs.String("if1", "", "the name of the device in it")
	ns2 := fs.String("ns2", "", "the other network namespace")
	if2 := fs.String("if2", "", "the name of the device in it")
	by := fs.Duration("by", 0, "delay, one way")
	if err := fs.Parse(args); err != nil {
		return err
	}
	a, err := tap(*ns1, *if1)
	if err != nil {
		return err
	}
	b, err := tap(*ns2, *if2)
	if err != nil {
		return err
	}
	fmt.Println("up")
	end := make(chan error)
	go func() { end <- carry(a, b, *by) }()
	go func() { end <- carry(b, a, *by) }()
	return <-end
}

// tap makes a TAP device in a network namespace.
func tap(ns, name string) (int, error) {
	type made struct {
		fd  int
		err error
	}
	c := make(chan made)
	go func() {
		runtime.LockOSThread() // for good: the thread stays in ns and ends with this goroutine
		fd, err := tapHere(ns, name)
		c <- made{fd, err}
	}()
	m := <-c
	if m.err != nil {
		return 0, fmt.Errorf("device %s in %s: %w", name, ns, m.err)
	}
	return m.fd, nil
}

func tapHere(ns, name string) (int, error) {
	f, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return 0, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	return fd, unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
}

// carry moves frames in order, each when its time has come. A frame that finds
// 4096 others waiting is lost, as in a router.
func carry(from, to int, by time.Duration) error {
	type frame struct {
		b   []byte
		due time.Time
	}
	wait := make(chan frame, 4096)
	go func() {
		for f := range wait {
			time.Sleep(time.Until(f.due))
			unix.Write(to, f.b) // lost if the device is not up yet, as on a dead cable
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := unix.Read(from, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case wait <- frame{append([]byte(nil), buf[:n]...), time.Now().Add(by)}:
		default:
		}
	}
}
