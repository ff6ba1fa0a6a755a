package main

import "os"

// takeAllProxy makes ALL_PROXY the proxy for http and https where no other is
// set, as curl does: Go's standard library does not read it.
func takeAllProxy() {
	first := func(names ...string) string {
		for _, name := range names {
			if v := os.Getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	all := first("ALL_PROXY", "all_proxy")
	for _, name := range [][2]string{{"HTTP_PROXY", "http_proxy"}, {"HTTPS_PROXY", "https_proxy"}} {
		if all != "" && first(name[:]...) == "" {
			_ = os.Setenv(name[0], all) // fails only for a name or value that no environment can have
		}
	}
}
