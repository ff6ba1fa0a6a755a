package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteSteps(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, writeStep - 1, writeStep, writeStep + 1, 3*writeStep + 7} {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(i % 251)
		}
		if n, err := writeSteps(f, b, 5); n != size || err != nil {
			t.Fatalf("writeSteps of %d = %d, %v", size, n, err)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || (size > 0 && !bytes.Equal(got, append(make([]byte, 5), b...))) {
			t.Fatalf("%d bytes read back wrong: %v", size, err)
		}
		f.Close()
		if n, err := writeSteps(f, b, 0); size > 0 && (n != 0 || err == nil) {
			t.Fatalf("writeSteps to a closed file = %d, %v", n, err)
		}
	}
}
