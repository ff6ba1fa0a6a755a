package cdnfallback

import "testing"

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]contentRange{
		"bytes 0-0/1":   {0, 0, 1},
		"bytes 5-9/10":  {5, 9, 10},
		"bytes 5-9/*":   {5, 9, -1},
		"bytes */10":    {-1, -1, 10},
		"bytes */0":     {-1, -1, 0},
		"BYTES 05-9/10": {5, 9, 10},
		"bytes 0-9223372036854775806/9223372036854775807": {0, 1<<63 - 2, 1<<63 - 1},
	} {
		if got, err := parseContentRange(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "bytes", "bytes ", "bytes 0-0", "bytes 0/1", "bytes -1/2", "bytes 1-/2", "bytes 2-1/3", "bytes 0-3/3",
		"bytes */*", "bytes  0-0/1", "bytes 0-0/1 ", "bytes=0-0/1", "items 0-0/1", "bytes +0-0/1", "bytes 0--0/1",
		"bytes 0-0/-1", "bytes 0-0/9223372036854775808", "bytes 0x0-1/2", "bytes 0-1_0/20", "bytes 0-0/1/2",
	} {
		if got, err := parseContentRange(bad); err == nil {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

// A range that keeps the invariant is read back from its text, and the text of
// any other is refused.
func FuzzContentRangeFields(f *testing.F) {
	f.Add(int64(0), int64(0), int64(1))
	f.Add(int64(1), int64(2), int64(-1))
	f.Add(int64(-1), int64(-1), int64(7))
	f.Add(int64(5), int64(4), int64(9))
	f.Add(int64(0), int64(9), int64(9))
	f.Fuzz(func(t *testing.T, first, last, total int64) {
		in := contentRange{first, last, max(total, -1)}
		whole := first < 0 && total >= 0
		span := 0 <= first && first <= last && (total < 0 || last < total)
		if first < 0 {
			in.first, in.last = -1, -1 // any such is written as "*"
		}
		out, err := parseContentRange(in.String())
		if (err == nil) != (whole || span) || err == nil && out != in {
			t.Fatalf("%+v became %q and then %+v, %v", in, in.String(), out, err)
		}
	})
}

// What is read is written back as it was, but for the unit's case and leading
// zeros.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 1-2/*", "bytes */7", "Bytes 007-8/9", "bytes 2-1/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseContentRange(s)
		if err != nil {
			return
		}
		whole := r.first == -1 && r.last == -1 && r.total >= 0
		span := 0 <= r.first && r.first <= r.last && (r.total == -1 || r.last < r.total)
		if !whole && !span {
			t.Fatalf("%q: %+v breaks the invariant", s, r)
		}
		again, err := parseContentRange(r.String())
		if err != nil || again != r {
			t.Fatalf("%q: %+v became %+v, %v", s, r, again, err)
		}
		if again.String() != r.String() || len(r.String()) > len(s) {
			t.Fatalf("%q: the canonical text %q is longer", s, r)
		}
	})
}
