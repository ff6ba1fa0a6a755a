package main

import (
	"testing"
	"time"
)

func TestStay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]stay{
		"true":  {on: true}, // what the flag package makes of a bare --seed
		"false": {},
		"1.5":   {on: true, copies: 1.5},
		"1":     {on: true, copies: 1},
		"30m":   {on: true, time: 30 * time.Minute},
		"1h30m": {on: true, time: 90 * time.Minute},
	} {
		var s stay
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %+v, %v; want %+v", text, s, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "0s", "-3m", "inf", "nan", "30", "x"} {
		var s stay
		if err := s.Set(text); (err == nil) != (text == "30") { // thirty copies
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

func TestSharedLine(t *testing.T) {
	t.Parallel()
	own, running := &session{}, &session{running: true}
	for _, c := range []struct {
		stay stay
		in   *session
		want string
	}{
		{stay{}, own, "no longer shared: no node runs here; 'shoal node' goes on with it, --seed stays"},
		{stay{on: true}, own, "seeding until interrupted (Ctrl-C)"},
		{stay{on: true, copies: 1.5}, own, "seeding until 1.5 copies (3.00 kB) are sent (or Ctrl-C)"},
		{stay{on: true, time: 30 * time.Minute}, own, "seeding for 30m0s (or until Ctrl-C)"},
		{stay{on: true, copies: 2}, running, "shared on by the running node, for as long as it runs"},
		{stay{}, running, "shared on by the running node, for as long as it runs"},
	} {
		if got := sharedLine(c.stay.of(c.in), 2000); got != c.want {
			t.Errorf("%+v: %q, want %q", c.stay, got, c.want)
		}
	}
}
