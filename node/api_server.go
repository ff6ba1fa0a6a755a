package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// apiStopGrace is how long stopping waits for requests, which have been
// cancelled by then, to write their last line.
const apiStopGrace = 2 * time.Second

// ServeAPI serves api on the socket dir/api.sock, mode 0600, until stop is
// called. dir should be readable by its owner alone. A socket left by a dead
// node is replaced; one that answers is ErrRunning. When the path is longer
// than a socket's may be, dir/api.sock is a symbolic link to the socket.
//
// ctx carries values and, when it ends, cancels all requests. stop cancels them
// too, waits, and may be called more than once. Each request runs in a
// goroutine of net/http, plus one that writes its progress.
func ServeAPI(ctx context.Context, dir string, api API, log *slog.Logger) (stop func() error, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l, clean, err := listenAPI(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	srv := &http.Server{
		Handler:           apiHandler(api, log),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("API socket", "err", err)
		}
	})
	return sync.OnceValue(func() error {
		cancel()
		grace, done := context.WithTimeout(context.Background(), apiStopGrace)
		defer done()
		err := srv.Shutdown(grace)
		if err != nil {
			err = srv.Close()
		}
		wg.Wait()
		return errors.Join(err, clean())
	}), nil
}

// apiCall runs one verb. It may send events on s before it returns its result.
type apiCall func(ctx context.Context, req apiRequest, s *apiStream) (any, error)

// apiHandler routes the verbs to api.
func apiHandler(api API, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/id", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(apiHello{ID: api.ID()}); err != nil {
			log.Debug("API answer", "err", err)
		}
	})
	for verb, call := range apiCalls(api) {
		mux.HandleFunc("POST /v1/"+verb, func(w http.ResponseWriter, r *http.Request) {
			serveCall(w, r, call, log.With("verb", verb))
		})
	}
	return mux
}

// apiCalls are the verbs by name.
func apiCalls(api API) map[string]apiCall {
	return map[string]apiCall{
		"add": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			req.Add.Progress = func(n int64) { s.latest(apiEvent{Bytes: &n}) }
			req.Add.Skip = func(path, why string) { s.send(apiEvent{Skip: &apiSkip{path, why}}) }
			return api.Add(ctx, req.Path, req.Add)
		},
		"publish": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			req.Publish.Progress = func(n int64) { s.latest(apiEvent{Bytes: &n}) }
			req.Publish.Skip = func(path, why string) { s.send(apiEvent{Skip: &apiSkip{path, why}}) }
			return api.Publish(ctx, req.Path, req.Publish)
		},
		"resolve": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			return api.Resolve(ctx, req.Path, s.watch(req.Fetch))
		},
		"fetch": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			return api.Fetch(ctx, req.Target, s.watch(req.Fetch))
		},
		"cat": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			return nil, api.Cat(ctx, req.Target, req.From, req.To, s, s.watch(req.Fetch))
		},
		"list": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			entries, err := api.List(ctx, req.Target, s.watch(req.Fetch))
			for len(entries) > 0 {
				n := min(len(entries), listBatch)
				s.send(apiEvent{Entries: entries[:n]})
				entries = entries[n:]
			}
			return nil, err
		},
		"find": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			found := func(p Provider) { s.send(apiEvent{Provider: &p}) }
			return nil, api.Find(ctx, req.Target, s.watch(req.Fetch), found)
		},
		"status": func(ctx context.Context, _ apiRequest, _ *apiStream) (any, error) {
			return api.Status(ctx)
		},
		"verify": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			return nil, api.Verify(ctx, req.Root, func(b Bad) { s.send(apiEvent{Bad: &b}) })
		},
		"unshare": func(ctx context.Context, req apiRequest, _ *apiStream) (any, error) {
			return nil, api.Unshare(ctx, req.Root)
		},
		"pin": func(ctx context.Context, req apiRequest, s *apiStream) (any, error) {
			return api.Pin(ctx, req.Target, s.watch(req.Fetch))
		},
		"unpin": func(ctx context.Context, req apiRequest, _ *apiStream) (any, error) {
			return nil, api.Unpin(ctx, req.Root)
		},
		"swarm-invite": func(ctx context.Context, req apiRequest, _ *apiStream) (any, error) {
			return api.SwarmInvite(ctx, req.Invite)
		},
		"swarm-members": func(ctx context.Context, _ apiRequest, _ *apiStream) (any, error) {
			return api.SwarmMembers(ctx)
		},
		"swarm-revoke": func(ctx context.Context, req apiRequest, _ *apiStream) (any, error) {
			return nil, api.SwarmRevoke(ctx, req.IDs)
		},
		"doctor": func(ctx context.Context, req apiRequest, _ *apiStream) (any, error) {
			return api.Doctor(ctx, req.Doctor)
		},
		"gc": func(ctx context.Context, _ apiRequest, _ *apiStream) (any, error) {
			return api.Collect(ctx)
		},
	}
}

// serveCall reads the request, runs call and ends the stream with its outcome.
func serveCall(w http.ResponseWriter, r *http.Request, call apiCall, log *slog.Logger) {
	s := newAPIStream(w)
	defer s.close()
	req, err := readRequest(w, r)
	if err != nil {
		s.end(nil, err)
		return
	}
	result, err := call(r.Context(), req, s)
	if err != nil {
		log.Debug("API request", "err", err)
	}
	s.end(result, err)
}

// readRequest decodes the body. An unknown field is an error: it comes from a
// newer command whose option this node would silently ignore.
func readRequest(w http.ResponseWriter, r *http.Request) (apiRequest, error) {
	var req apiRequest
	body := http.MaxBytesReader(w, r.Body, maxAPIRequest)
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return req, fmt.Errorf("%w: the running node cannot read this request (%v); restart it with the same version of shoal", ErrUsage, err)
	}
	// Reading to the end lets net/http notice a client that goes away.
	_, err := io.Copy(io.Discard, body)
	return req, err
}
