package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shoal-p2p/shoal/node"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// watch shows a fetch in flight: on a terminal a bar, everywhere a line each
// time the reason for waiting changes.
type watch struct {
	sh      *shell
	waiting string // owned by the goroutine that calls show
	bar     *bar   // nil without a terminal
}

// newWatch starts to show; stop ends it.
func newWatch(sh *shell) *watch {
	w := &watch{sh: sh}
	if sh.onTerminal() {
		w.bar = newBar(sh)
	}
	return w
}

// follow has a fetch shown.
func (w *watch) follow(opt *node.FetchOptions) { opt.Progress, opt.Terse = w.show, w.bar == nil }

// show is FetchOptions.Progress.
func (w *watch) show(p node.Progress) {
	if w.bar != nil {
		w.bar.set(p.Have, p.Size, barText(p))
	}
	if p.Waiting != w.waiting {
		w.waiting = p.Waiting
		if p.Waiting != "" {
			w.sh.say("%s", waitingLine(p.Waiting))
		}
	}
}

// stop removes the bar. show must not be called after it.
func (w *watch) stop() {
	if w.bar != nil {
		w.bar.stop()
	}
}

// waitingLine is the words for a reason to wait.
func waitingLine(why string) string {
	if strings.HasPrefix(why, "nobody to ask") || strings.HasPrefix(why, "waiting") {
		return why
	}
	return "waiting: " + why
}

// barText is what stands beside the bar: have, size, rate, time left, bytes by
// path and peers.
func barText(p node.Progress) string {
	have := size(p.Have)
	if p.Size > 0 {
		have += " of " + size(p.Size)
	}
	parts := []string{have, size(int64(p.Rate)) + "/s"}
	if p.Rate > 0 && p.Size > p.Have {
		left := time.Duration(float64(p.Size-p.Have) / p.Rate * float64(time.Second))
		if left < 100*time.Hour {
			parts = append(parts, "ETA "+left.Round(time.Second).String())
		}
	}
	for _, s := range []struct {
		path  string
		bytes int64
	}{{"lan", p.From.LAN.Bytes}, {"wan", p.From.WAN.Bytes}, {"relay", p.From.Relay.Bytes}, {"origin", p.From.Origin.Bytes}, {"here", p.From.Disk.Bytes}} {
		if s.bytes > 0 {
			parts = append(parts, s.path+" "+size(s.bytes))
		}
	}
	return strings.Join(append(parts, count(p.Peers, "peer", "peers")), " · ")
}

// bar is a progress bar with a text of ours. While it is shown, words go above it.
type bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	text     atomic.Pointer[string]
	restore  func()
}

func newBar(sh *shell) *bar {
	b := &bar{}
	b.text.Store(new(string))
	b.progress = mpb.New(mpb.WithOutput(sh.stderr), mpb.WithWidth(24), mpb.WithRefreshRate(150*time.Millisecond))
	b.bar = b.progress.New(0, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *b.text.Load() })))
	b.restore = sh.redirect(b.progress)
	return b
}

// set moves the bar; total 0 is not known yet.
func (b *bar) set(current, total int64, text string) {
	b.text.Store(&text)
	if total > 0 {
		b.bar.SetTotal(total, false)
	}
	b.bar.SetCurrent(current)
}

// stop removes the bar, after which words go where they went before.
func (b *bar) stop() {
	b.bar.Abort(true)
	b.progress.Wait()
	b.restore()
}

// hashing shows how far an add has come, on a terminal only.
func hashing(sh *shell) (show func(bytes int64), stop func()) {
	if !sh.onTerminal() {
		return func(int64) {}, func() {}
	}
	b := newBar(sh)
	return func(n int64) { b.set(n, 0, fmt.Sprintf("hashed %s", size(n))) }, b.stop
}
