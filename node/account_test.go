package node

import (
	"testing"
	"time"
)

// An account keeps what came by the minute, and its sums when minutes become one.
func TestAccount(t *testing.T) {
	t.Parallel()
	a := &account{Reasons: map[string]int64{}}
	began := time.Unix(1_700_000_000, 0)
	const looks = 3 * accountSlices
	for i := range looks {
		a.add(began.Add(time.Duration(i)*time.Minute), From{
			WAN: Amount{Bytes: 3, Peers: 2}, Origin: Amount{Bytes: 1, Peers: 1},
		}, map[string]int64{"inject": 1})
	}
	if len(a.Slices) > accountSlices {
		t.Errorf("%d slices, want at most %d", len(a.Slices), accountSlices)
	}
	var wan, injected int64
	for i, s := range a.Slices {
		wan += s.From.WAN.Bytes
		injected += s.Reasons["inject"]
		if i > 0 && s.At < a.Slices[i-1].At+int64(a.Slices[i-1].Seconds) {
			t.Errorf("slice %d begins at %d, in the one before it: %+v", i, s.At, a.Slices[i-1])
		}
	}
	if wan != 3*looks || injected != looks || a.From.WAN.Bytes != wan || a.Reasons["inject"] != injected {
		t.Errorf("slices have %d of peers and %d injected, the sums are %+v, %v", wan, injected, a.From, a.Reasons)
	}
	if got := a.From.spared(looks); got != 3 {
		t.Errorf("%v copies spared, want 3", got)
	}
}

func TestParseCopies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"": 0, "1/h": 1, "0.25/h": 0.25, " 3/h ": 3} {
		if got, err := ParseCopies(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"1", "/h", "0/h", "-1/h", "x/h", "1/d", "NaN/h", "Inf/h"} {
		if got, err := ParseCopies(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
}
