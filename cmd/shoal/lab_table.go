package main

import (
	"fmt"
	"strings"

	"github.com/shoal-p2p/shoal/node"
)

// labTable is the report of a lab for people: bytes by source for each node,
// their sums, and what the origin gave.
func labTable(r *labReport) []string {
	rows := [][]string{{"node", "lan", "wan", "relay", "origin", "disk", "duplicate", "sent", "seconds"}}
	var sum node.Result
	for i, n := range r.Nodes {
		rows = append(rows, append(labRow(fmt.Sprint(i+1), n), fmt.Sprintf("%.2f", n.Seconds)))
		sum.From.LAN.Bytes += n.From.LAN.Bytes
		sum.From.WAN.Bytes += n.From.WAN.Bytes
		sum.From.Relay.Bytes += n.From.Relay.Bytes
		sum.From.Origin.Bytes += n.From.Origin.Bytes
		sum.From.Disk.Bytes += n.From.Disk.Bytes
		sum.Duplicate += n.Duplicate
		sum.Sent += n.Sent
	}
	rows = append(rows, append(labRow("all", &sum), fmt.Sprintf("%.2f", r.Seconds)))
	lines := append([]string{fmt.Sprintf("%s  %s  %s", r.CID, size(r.Size), printable(r.Name))}, align(rows)...)
	lines = append(lines, fmt.Sprintf("the origin sent %s in %s: %.2f copies for %s (%s)",
		size(r.Origin.Bytes), count(int(r.Origin.Requests), "request", "requests"), r.Origin.Copies, count(len(r.Nodes), "node", "nodes"), r.Class))
	if r.Verified {
		lines = append(lines, fmt.Sprintf("%s verified", count(len(r.Nodes), "copy", "copies")))
	}
	return lines
}

func labRow(name string, n *node.Result) []string {
	row := []string{name}
	for _, b := range []int64{n.From.LAN.Bytes, n.From.WAN.Bytes, n.From.Relay.Bytes, n.From.Origin.Bytes, n.From.Disk.Bytes, n.Duplicate, n.Sent} {
		row = append(row, size(b))
	}
	return row
}

// align pads the cells of each column to one width, to the right.
func align(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var lines []string
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			fmt.Fprintf(&b, "%*s", widths[i], cell)
		}
		lines = append(lines, b.String())
	}
	return lines
}
