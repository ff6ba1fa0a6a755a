package node

import (
	"encoding/json"
	"net/http"
	"sync"
)

// apiStream writes the events of one request. Its methods may be called from
// many goroutines.
type apiStream struct {
	wake chan struct{} // one token: newest has something
	done chan struct{} // closed by close
	wg   sync.WaitGroup
	once sync.Once

	out   sync.Mutex // guards the answer: one event and its data at a time
	w     http.ResponseWriter
	flush func() error
	err   error // the first failure; nothing is written after it

	slot   sync.Mutex
	newest *apiEvent // the progress not written yet; a newer one takes its place
}

// newAPIStream starts the goroutine that writes progress; close ends it.
func newAPIStream(w http.ResponseWriter) *apiStream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	s := &apiStream{
		w:     w,
		flush: http.NewResponseController(w).Flush,
		wake:  make(chan struct{}, 1), // 1: a wake-up is never lost and never blocks
		done:  make(chan struct{}),
	}
	s.wg.Go(s.writeProgress)
	return s
}

// latest replaces the progress that waits to be written. It never blocks, so a
// client that reads slowly sees fewer updates and the work goes on.
func (s *apiStream) latest(ev apiEvent) {
	s.slot.Lock()
	s.newest = &ev
	s.slot.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// writeProgress writes the newest progress until close.
func (s *apiStream) writeProgress() {
	for {
		select {
		case <-s.wake:
			s.sendNewest()
		case <-s.done:
			return
		}
	}
}

func (s *apiStream) sendNewest() {
	s.slot.Lock()
	ev := s.newest
	s.newest = nil
	s.slot.Unlock()
	if ev != nil {
		s.send(*ev)
	}
}

// send writes one event. It blocks while the client does not read; a failure
// shows as the end of the request's context.
func (s *apiStream) send(ev apiEvent) { _ = s.write(ev, nil) }

// Write sends bytes of cat.
func (s *apiStream) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		part := p[n:min(len(p), n+maxAPIData)]
		if err := s.write(apiEvent{Data: len(part)}, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

func (s *apiStream) write(ev apiEvent, data []byte) error {
	line, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	s.out.Lock()
	defer s.out.Unlock()
	if s.err != nil {
		return s.err
	}
	if _, s.err = s.w.Write(append(line, '\n')); s.err != nil {
		return s.err
	}
	if _, s.err = s.w.Write(data); s.err != nil {
		return s.err
	}
	s.err = s.flush()
	return s.err
}

// watch makes fetch options report on the stream.
func (s *apiStream) watch(opt FetchOptions) FetchOptions {
	opt.Progress = func(p Progress) { s.latest(apiEvent{Progress: &p}) }
	return opt
}

// close ends the progress writer and waits for it. It may be called twice.
func (s *apiStream) close() {
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
}

// end writes the last line. Progress still waiting goes first, so that the
// client has seen the newest figures.
func (s *apiStream) end(result any, err error) {
	s.close()
	s.sendNewest()
	last := apiEvent{End: true}
	if err == nil {
		last.Result, err = json.Marshal(result)
	}
	if err != nil {
		last.Error = encodeError(err)
	}
	s.send(last)
}
