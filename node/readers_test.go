package node

import (
	"bytes"
	"io"
	"testing"
)

// Readers of one target share its download, and it lasts as long as one of them.
func TestReadersShareADownload(t *testing.T) {
	t.Parallel()
	data := noise(190, 3*mib)
	a, b := start(t), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	first, err := b.Open(t.Context(), target, from(a))
	must(t, err)
	second, err := b.Open(t.Context(), target, from(a))
	must(t, err)
	if list, err := b.List(t.Context(), target, from(a)); err != nil || len(list) != 1 {
		t.Errorf("List beside readers: %v, %v", list, err)
	}
	must(t, first.Close())
	must(t, first.Close())
	got, err := io.ReadAll(second)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("the second reader got %d bytes that are not the content", len(got))
	}
	must(t, second.Close())
	if _, err := second.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("a closed content is read")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.active) != 0 {
		t.Errorf("%d downloads after the last reader", len(b.active))
	}
}

// A reader shares the download that a Fetch runs, and goes on after its end.
func TestReadWhatIsFetched(t *testing.T) {
	t.Parallel()
	data := noise(191, 4*mib)
	a, b := start(t, upload("4MB/s")), start(t)
	target := share(t, a, put(t, "data.bin", data), AddOptions{})
	begun, hasBegun := once()
	opt := from(a)
	opt.Progress = func(p Progress) {
		if p.Have > 0 {
			hasBegun()
		}
	}
	fetched := begin(t, b, target, opt)
	<-begun
	c, err := b.Open(t.Context(), target, from(a))
	must(t, err)
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	r, err := fetched()
	must(t, err)
	checkFile(t, r, data)
	_, err = c.Seek(0, io.SeekStart)
	must(t, err)
	got, err := io.ReadAll(c)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Errorf("read %d bytes that are not the content", len(got))
	}
}
