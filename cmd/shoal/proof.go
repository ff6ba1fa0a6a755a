package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoal-p2p/shoal/node"
)

// shownSlices is how many of the last spans of time status shows of a root.
const shownSlices = 12

// reasonWords say why origin bytes were spent.
var reasonWords = map[string]string{
	"inject":   "nobody had it",
	"deadline": "a reader needed it sooner",
	"start":    "to begin at once",
	"stall":    "peers sent nothing",
	"deficit":  "peers were too slow",
	"tail":     "the last pieces",
}

// originLine says why origin bytes were spent, and how much peers spared it; ""
// when there is neither.
func originLine(reasons map[string]int64, spared float64) string {
	var words []string
	for _, why := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		if reasons[a] != reasons[b] {
			return int(min(max(reasons[b]-reasons[a], -1), 1))
		}
		return strings.Compare(a, b)
	}) {
		if reasons[why] > 0 {
			words = append(words, fmt.Sprintf("%s %s (%s)", why, size(reasons[why]), reasonWords[why]))
		}
	}
	var line string
	if len(words) > 0 {
		line = "origin bytes: " + strings.Join(words, ", ")
	}
	if spared >= 0.005 {
		if line != "" {
			line += "; "
		}
		line += fmt.Sprintf("peers spared the origin %.2f copies", spared)
	}
	return line
}

// historyLines show the last spans of time of a root, by path and reason.
func historyLines(history []node.Slice) []string {
	var lines []string
	for _, s := range history[max(0, len(history)-shownSlices):] {
		line := time.Unix(s.At, 0).Format("15:04") + " "
		for _, p := range []struct {
			name  string
			bytes int64
		}{{"lan", s.From.LAN.Bytes}, {"wan", s.From.WAN.Bytes}, {"relay", s.From.Relay.Bytes}, {"origin", s.From.Origin.Bytes}} {
			if p.bytes > 0 {
				line += " " + p.name + " " + size(p.bytes)
			}
		}
		for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
			line += fmt.Sprintf(" (%s %s)", why, size(s.Reasons[why]))
		}
		lines = append(lines, line)
	}
	return lines
}
