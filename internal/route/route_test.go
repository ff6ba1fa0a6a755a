package route

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	const id = "/p2p/12D3KooWAptwZhEG3kfFZcNoGu9pcMUmytmMkWbVZe4zkwDFpkQ7"
	for addr, want := range map[string][2]bool{
		"/ip4/11.0.0.2/tcp/7461":                                    {false, false},
		"/ip4/11.0.0.2/tcp/80/ws":                                   {true, false},
		"/dns4/a.example/tcp/443/wss":                               {true, false},
		"/dns4/a.example/tcp/443/tls/ws" + id + "/p2p-circuit":      {true, true},
		"/ip4/11.0.0.2/udp/7461/quic-v1" + id + "/p2p-circuit" + id: {false, true},
		"/ip6/2a00::1/udp/7461/quic-v1":                             {false, false},
	} {
		a := ma.StringCast(addr)
		if got := [2]bool{WebSocket(a), Circuit(a)}; got != want {
			t.Errorf("%s: WebSocket, circuit: %v, want %v", addr, got, want)
		}
	}
}
