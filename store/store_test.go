package store_test

import (
	"testing"

	"github.com/shoal-p2p/shoal/store"
	"github.com/shoal-p2p/shoal/store/storetest"
)

func TestDisk(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) store.Store {
		d, err := store.Open(t.TempDir(), store.Config{OpenFiles: 4})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	})
}

func TestMem(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) store.Store { return store.NewMem() })
}
