package main

import (
	"fmt"
	"slices"

	"github.com/shoal-p2p/shoal/node"
)

// everybody is who gets what an open node shares.
const everybody = "open: anyone with a content ID can fetch what you share"

// audience is with whom a node shares, in words.
func audience(s node.SwarmStatus) string {
	if s.Private {
		return fmt.Sprintf("private: members of %s can fetch what you share", printable(s.Name))
	}
	return everybody
}

// swarmLines is a swarm's status for people.
func swarmLines(s node.SwarmStatus) []string {
	lines := []string{"swarm         " + audience(s)}
	if !s.Private {
		return lines
	}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("swarm id      %s", s.ID)
	if s.Expires != "" {
		state := ""
		if s.Provisional {
			state = ", provisional"
		}
		add("membership    %s until %s%s", s.Roles, s.Expires, state)
	}
	add("members       %d connected, %d not admitted", s.Members, s.Pending)
	if s.Sequence > 0 {
		add("revoked       %d, list %d", s.Revoked, s.Sequence)
	}
	if s.Authority != "" {
		add("authority     %s", s.Authority)
	}
	for _, in := range s.Invites {
		state := ""
		if in.Revoked {
			state = ", revoked"
		}
		add("invite        %s  %s until %s, %d of %d used%s", in.ID, in.Roles, in.Expires, in.Used, in.Uses, state)
	}
	for _, w := range s.Warnings {
		add("warning       %s", w)
	}
	return lines
}

// sorted sorts words in place.
func sorted(words []string) []string {
	slices.Sort(words)
	return words
}
