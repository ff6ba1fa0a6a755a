package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/shoal-p2p/shoal/node"
)

// summary is the closing words of a get: how much, how fast, and where from.
func summary(r *node.Result) []string {
	line := fmt.Sprintf("%s in %s", size(r.Size), seconds(r.Seconds))
	if r.Seconds > 0 && r.Size > 0 {
		line += fmt.Sprintf(" (%s/s)", size(int64(float64(r.Size)/r.Seconds)))
	}
	if r.Verified {
		line += ", verified"
	} else {
		line += ", NOT verified: nobody vouches for it"
	}
	lines := []string{line}
	if parts := sources(r.From, r.Origins); parts != "" {
		lines = append(lines, parts)
	}
	if line := originLine(r.OriginReasons, 0); line != "" {
		lines = append(lines, line)
	}
	if r.Update != nil {
		lines = append(lines, updateLines(r.Update)...)
	}
	if len(r.Liars) > 0 {
		lines = append(lines, fmt.Sprintf("gave wrong bytes, refused (%s): %s", size(r.Rejected), strings.Join(r.Liars, "; ")))
	}
	return lines
}

// updateLines say what an update did.
func updateLines(u *node.Update) []string {
	if u.Added+u.Changed+u.Removed == 0 {
		return []string{"up to date: nothing to change"}
	}
	lines := []string{fmt.Sprintf("updated: %d added, %d changed, %d removed, %d as before", u.Added, u.Changed, u.Removed, u.Same)}
	if u.Left != "" {
		lines = append(lines, "not deleted, because it changed in the last moment: "+printable(u.Left))
	}
	return lines
}

// sources says which share of the bytes came from where; "" when there were none.
func sources(f node.From, origins []string) string {
	named := "an origin"
	switch {
	case len(origins) == 1:
		named = origins[0]
	case len(origins) > 1:
		named = count(len(origins), "origin", "origins")
	}
	parts := []struct {
		node.Amount
		words string
	}{
		{f.LAN, "from " + count(f.LAN.Peers, "LAN peer", "LAN peers")},
		{f.WAN, "from " + count(f.WAN.Peers, "peer", "peers")},
		{f.Relay, "relayed from " + count(f.Relay.Peers, "peer", "peers")},
		{f.Origin, "from " + named},
		{f.Disk, "already here"},
	}
	bytes := make([]int64, len(parts))
	for i, p := range parts {
		bytes[i] = p.Bytes
	}
	var words []string
	for i, percent := range percentages(bytes) {
		switch {
		case bytes[i] <= 0:
		case percent == 0:
			words = append(words, "<1% "+parts[i].words)
		default:
			words = append(words, fmt.Sprintf("%d%% %s", percent, parts[i].words))
		}
	}
	return strings.Join(words, ", ")
}

// percentages are whole shares that add up to 100 (largest remainder method),
// so that the words do. Negative amounts count as 0.
func percentages(amounts []int64) []int {
	shares := make([]int, len(amounts))
	var total float64
	for _, a := range amounts {
		total += float64(max(a, 0))
	}
	if total == 0 {
		return shares
	}
	order := make([]int, len(amounts))
	rest := make([]float64, len(amounts))
	left := 100
	for i, a := range amounts {
		exact := 100 * float64(max(a, 0)) / total
		shares[i] = int(exact)
		rest[i] = exact - float64(shares[i])
		left -= shares[i]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case rest[a] > rest[b]:
			return -1
		case rest[a] < rest[b]:
			return 1
		}
		return 0
	})
	for _, i := range order[:min(max(left, 0), len(order))] {
		shares[i]++
	}
	return shares
}

// size is a number of bytes with three figures: 1.07 GB.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	return humanize.BytesN(uint64(n), 3)
}

// seconds is a time for people: 0.24 s, 2.4 s, 41 s, 3m12s.
func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.2f s", s)
	case s < 9.95:
		return fmt.Sprintf("%.1f s", s)
	case s < 99.5:
		return fmt.Sprintf("%.0f s", s)
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
