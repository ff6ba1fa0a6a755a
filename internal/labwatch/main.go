package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	headers = 66 // bytes of a packet that are Ethernet, IP and TCP with timestamps
	pause   = 200 * time.Millisecond
)

func main() {
	size := flag.Int64("size", 0, "bytes of the content")
	least := flag.Int64("least", 0, "look at no file before so many bytes were sent")
	sent := flag.Int64("sent", 0, "end when so many bytes were sent")
	end := flag.Int("end", 0, "then end the process with this id")
	statistics := flag.String("statistics", "/sys/class/net/eth0/statistics", "where the counters of the link are")
	flag.Parse()
	if err := run(*size, *least, *sent, *statistics, flag.Args(), *end); err != nil {
		fmt.Fprintln(os.Stderr, "labwatch:", err)
		os.Exit(1)
	}
}

// run watches the files that the patterns match; those may come and go.
func run(size, least, most int64, statistics string, patterns []string, end int) error {
	if size <= 0 && most <= 0 {
		return fmt.Errorf("nothing to wait for; usage: labwatch -size BYTES PATTERN... or labwatch -sent BYTES")
	}
	from, err := payload(statistics)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	for {
		now, err := payload(statistics)
		if err != nil {
			return err
		}
		if most > 0 && now-from >= most || size > 0 && now-from >= least && whole(size, patterns) {
			fmt.Println(now - from)
			return terminate(end)
		}
		time.Sleep(pause)
	}
}

// terminate asks a process to end; 0 is none.
func terminate(pid int) error {
	if pid == 0 {
		return nil
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(syscall.SIGTERM)
}

// payload is what a link has sent without headers. A packet that is cut into
// segments later counts as one and has its headers once.
func payload(statistics string) (int64, error) {
	bytes, err := counter(statistics, "tx_bytes")
	if err != nil {
		return 0, err
	}
	packets, err := counter(statistics, "tx_packets")
	return bytes - headers*packets, err
}

func counter(statistics, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(statistics, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// whole tells whether every byte below size stands in one of the files.
func whole(size int64, patterns []string) bool {
	var had []extent
	for _, pattern := range patterns {
		names, _ := filepath.Glob(pattern) // the pattern is right, or nothing matches it ever
		for _, name := range names {
			had = append(had, extents(name)...)
		}
	}
	return covers(had, size)
}
