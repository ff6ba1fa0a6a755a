package main

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// contractFlags are the flags that users rely on, by verb. Flags may be added
// to a verb, and verbs to the command, never taken away.
var contractFlags = map[string]string{
	"":           "dir json log-level",
	"node":       "listen bootstrap mdns portmap origin upload download lan announce store-max create join cache from prefetch relay relay-data relay-day punch-hard address tls-cert tls-key",
	"share":      "listen bootstrap mdns portmap copy hidden modes profile",
	"add":        "q only-hash copy hidden modes profile",
	"get":        "listen bootstrap mdns portmap ca o origin peer timeout deadline class origin-after origin-header seed using update from unverified",
	"cat":        "listen bootstrap mdns portmap range origin peer timeout deadline",
	"ls":         "listen bootstrap mdns portmap origin peer timeout deadline",
	"find":       "listen bootstrap mdns portmap",
	"status":     "",
	"verify":     "",
	"unshare":    "",
	"pin":        "listen bootstrap mdns portmap origin peer timeout deadline",
	"unpin":      "",
	"gc":         "",
	"key":        "",
	"publish":    "key origin name version hidden no-hidden o",
	"swarm":      "expires uses role",
	"id":         "",
	"config":     "listen bootstrap mdns portmap origin upload download lan announce",
	"version":    "",
	"doctor":     "listen bootstrap mdns portmap ca origin",
	"completion": "",
	"lab":        "",
	"help":       "",
}

func TestContractFlags(t *testing.T) {
	t.Parallel()
	s := shapesOf(newApp(&shell{}))
	for verb, flags := range contractFlags {
		there := s.verbs[verb]
		if verb == "" {
			there = s.global
		} else if there == nil {
			t.Errorf("no verb %s", verb)
		}
		for _, name := range strings.Fields(flags) {
			if _, ok := there[name]; !ok {
				t.Errorf("no flag --%s of %s", name, verb)
			}
		}
	}
}

// What later releases bring is a usage error, and not in the help, until it
// does something.
func TestFlagsAndVerbsOfLater(t *testing.T) {
	t.Parallel()
	app := newApp(&shell{})
	s := shapesOf(app)
	for _, line := range []string{
		"node --http off", "node --gateway-fetch on",
		"find --from x y", "find --origin u x", "find --deadline 1s x",
	} {
		words := strings.Fields(line)
		if _, _, err := reorder(words, s); !isUsage(err) {
			t.Errorf("shoal %s: %v", line, err)
		}
		if len(words) > 1 && strings.HasPrefix(words[1], "--") && strings.Contains(helpOf(t, words[0], "--help"), words[1]+" ") {
			t.Errorf("the help of %s has %s", words[0], words[1])
		}
	}
}

// Every flag that may be given many times says so in its help.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	for _, c := range newApp(&shell{}).Commands {
		for _, f := range c.Flags {
			_, many := f.(*cli.StringSliceFlag)
			if text := flagHelp([]cli.Flag{f}); strings.Contains(text, "repeatable") != many {
				t.Errorf("%s: repeatable is %v: %s", c.Name, many, text)
			}
		}
	}
}
