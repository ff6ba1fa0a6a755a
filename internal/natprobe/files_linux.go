package main

import "net/http"

// files serves a directory over HTTP, range requests included: an origin.
func files(dir, at string) error {
	return http.ListenAndServe(at, http.FileServer(http.Dir(dir)))
}
