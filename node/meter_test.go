package node

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A stream that does not end is not read for ever.
func TestMeterStopsAnEndlessStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int
		err  error
	}{{99, nil}, {100, nil}, {101, errEndless}, {5000, errEndless}} {
		m := &meter{r: bytes.NewReader(make([]byte, c.size)), most: 100, tell: func(int64) {}}
		if n, err := io.Copy(io.Discard, m); !errors.Is(err, c.err) || n > 100 {
			t.Errorf("%d bytes: %d read, %v; want at most 100 and %v", c.size, n, err, c.err)
		}
	}
}
