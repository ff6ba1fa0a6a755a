package main

import (
	"fmt"
	"testing"
)

// FuzzParseRange: what is read makes sense and is read back from its text, and
// any range that makes sense is read.
func FuzzParseRange(f *testing.F) {
	f.Add("0-99", int64(0), int64(99))
	f.Add("100-", int64(100), int64(-1))
	f.Add("", int64(5), int64(4))
	f.Add("-5", int64(1<<62), int64(1<<62))
	f.Add("+1-0x2", int64(0), int64(0))
	text := func(from, to int64) string {
		if to < 0 {
			return fmt.Sprintf("%d-", from)
		}
		return fmt.Sprintf("%d-%d", from, to)
	}
	f.Fuzz(func(t *testing.T, s string, from, to int64) {
		if a, b, err := parseRange(s); err == nil {
			if a < 0 || b < -1 || b >= 0 && b < a {
				t.Errorf("%q reads as %d to %d", s, a, b)
			}
			if c, d, err := parseRange(text(a, b)); err != nil || c != a || d != b {
				t.Errorf("%q reads as %d to %d, and then as %d to %d, %v", s, a, b, c, d, err)
			}
		} else if !isUsage(err) {
			t.Errorf("%q: %v", s, err)
		}
		to = max(to, -1)
		a, b, err := parseRange(text(from, to))
		sense := from >= 0 && (to < 0 || to >= from)
		if (err == nil) != sense || err == nil && (a != from || b != to) {
			t.Errorf("%d to %d reads as %d to %d, %v", from, to, a, b, err)
		}
	})
}
