package origintest

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// Proxy is an HTTP proxy that knows a few hosts by itself, as the proxy of a
// site does whose machines have no DNS of the outside: it makes tunnels (CONNECT)
// and passes plain requests on. Its methods may be called from many goroutines.
type Proxy struct {
	mu    sync.Mutex
	hosts map[string]string
	asked []string
}

// NewProxy makes a proxy that dials, for each "host:port" that it may be asked
// for, the address that hosts has for it. It answers 403 for all others.
func NewProxy(hosts map[string]string) *Proxy { return &Proxy{hosts: hosts} }

// Asked are the hosts with their ports that it was asked for, in order.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// find notes what is asked for and gives the address to dial, "" to refuse.
func (p *Proxy) find(host string) string {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "80")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, host)
	return p.hosts[host]
}

// ServeHTTP answers CONNECT, and GET with an absolute URL.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := p.find(r.Host)
	if to == "" {
		http.Error(w, "not allowed", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodConnect {
		p.forward(w, r, to)
		return
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	w.WriteHeader(http.StatusOK)
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(far, buffered)
		far.(*net.TCPConn).CloseWrite()
	})
	io.Copy(near, far)
	near.Close() // ends the other direction
	wg.Wait()
}

// forward passes a plain request on.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, to string) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Host = "", to
	resp, err := http.DefaultTransport.(*http.Transport).RoundTrip(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
