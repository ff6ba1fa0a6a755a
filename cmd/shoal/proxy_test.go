package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) > 2, "certificate CERT KEY NAME...")
	cert, key, err := origintest.Certificate(args[2:]...)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

func cmdProxy(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) > 0, "proxy VAR HOST:PORT=ADDR...")
	hosts := map[string]string{}
	for _, arg := range args[1:] {
		host, addr, ok := strings.Cut(arg, "=")
		wantUse(ts, neg, ok, "proxy VAR HOST:PORT=ADDR...")
		hosts[host] = addr[strings.LastIndex(addr, "/")+1:] // of a URL too
	}
	p, log := origintest.NewProxy(hosts), ts.MkAbs(args[0]+".log")
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, _ = f.WriteString(r.Method + " " + r.Host + "\n") // a missing line fails the script
			f.Close()
		}
		mu.Unlock()
		p.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}
