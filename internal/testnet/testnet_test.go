package testnet_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoal-p2p/shoal/internal/testnet"
)

// One host sends 1 MB to another: the bytes arrive, and the virtual clock shows
// what the link's rate and latency make of them.
func TestRateAndLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hosts := testnet.New(t, 2, testnet.Config{Latency: 20 * time.Millisecond, Mbit: 20})
		const size = 1_000_000
		hosts[1].SetStreamHandler("/test", func(s network.Stream) {
			defer s.Close()
			_, _ = s.Write(make([]byte, size))
		})
		testnet.Connect(t, hosts[0], hosts[1])

		start := time.Now()
		s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), "/test")
		if err != nil {
			t.Fatal(err)
		}
		// The name of a known protocol is sent with the first write.
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, s)
		if err != nil || n != size {
			t.Fatalf("read %d bytes, %v; want %d", n, err, size)
		}
		took := time.Since(start)
		// 8 Mbit at 20 Mbit/s are 0.4 s; slow start adds some round trips of 40 ms.
		if took < 400*time.Millisecond || took > 900*time.Millisecond {
			t.Errorf("1 MB took %v of virtual time, want 0.4 s to 0.9 s", took)
		}
	})
}

func TestSameIdentities(t *testing.T) {
	t.Parallel()
	if a, b := testnet.Key(t, 3), testnet.Key(t, 3); !a.Equals(b) {
		t.Error("host 3 has two identities")
	}
	if testnet.Key(t, 3).Equals(testnet.Key(t, 4)) {
		t.Error("hosts 3 and 4 have one identity")
	}
}
