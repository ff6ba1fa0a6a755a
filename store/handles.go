package store

import (
	"container/list"
	"os"
	"sync"
)

// handles keeps a bounded number of files open between uses, the least
// recently used closed first. A file is named by its number in the index, with
// writing set for the handle that is open for writing: readers have one of
// their own, so that a finished program can be run while it is served.
type handles struct {
	limit int

	mu   sync.Mutex
	open map[uint64]*handle
	lru  *list.List // of *handle, most recently used first
}

// writing marks the handle of a file that is open for writing.
const writing = 1 << 63

type handle struct {
	file  *os.File
	state state // when it was opened

	// Guarded by handles.mu.
	id      uint64
	refs    int
	dropped bool
	at      *list.Element
}

func newHandles(limit int) *handles {
	return &handles{limit: limit, open: map[uint64]*handle{}, lru: list.New()}
}

// acquire returns the open handle of a file, nil if there is none. Each handle
// is given back with release.
func (h *handles) acquire(id uint64) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.open[id]
	if f != nil {
		f.refs++
		h.lru.MoveToFront(f.at)
	}
	return f
}

// insert takes over an opened file. When another goroutine was faster its
// handle is returned and file is closed.
func (h *handles) insert(id uint64, file *os.File, s state) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.open[id]; f != nil {
		_ = file.Close() // nothing was written through it
		f.refs++
		return f
	}
	f := &handle{file: file, state: s, id: id, refs: 1}
	f.at = h.lru.PushFront(f)
	h.open[id] = f
	for e := h.lru.Back(); e != nil && h.lru.Len() > h.limit; {
		old := e.Value.(*handle)
		e = e.Prev()
		if old.refs == 0 {
			h.forget(old)
		}
	}
	return f
}

func (h *handles) release(f *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch f.refs--; {
	case f.refs > 0:
	case f.dropped:
		_ = f.file.Close() // errors of writing come from syncData, before
	case !renamesOpen && f.id&writing == 0:
		h.forget(f) // its owner may want to replace it
	}
}

// drop closes one handle; if it is in use, when it is released.
func (h *handles) drop(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.open[id]; f != nil {
		h.forget(f)
	}
}

// dropRange closes both handles of the files from first on, count of them.
func (h *handles) dropRange(first, count uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, f := range h.open {
		if n := id &^ writing; n >= first && n-first < count {
			h.forget(f)
		}
	}
}

func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.open {
		h.forget(f)
	}
}

// forget is called with mu held.
func (h *handles) forget(f *handle) {
	delete(h.open, f.id)
	h.lru.Remove(f.at)
	f.dropped = true
	if f.refs == 0 {
		_ = f.file.Close() // errors of writing come from syncData, before
	}
}
