package sim

import "time"

// line is a peer's access to the network.
type line struct {
	up, down float64 // bytes/s
	busy     bool    // a unit is being sent
	ready    []*link // with frames to be sent, in the order of their turns
	waiting  bool    // all of them have as much in flight as they may; an event wakes the line
	clear    time.Duration
	sentAll  int64         // payload bytes sent
	working  time.Duration // time in which units were sent
}

// flight is a unit that is not acknowledged.
type flight struct {
	bytes int
	acked time.Duration
}

// put adds a frame to what a connection sends.
func (c *Crowd) put(l *link, f *frame) {
	l.frames = append(l.frames, f)
	if len(l.frames) == 1 {
		l.self.ready = append(l.self.ready, l)
	}
	c.buffered(l)
	c.pump(l.self)
}

// pump has a line send the next unit, if it is free and a connection may send.
func (c *Crowd) pump(p *peer) {
	if p.busy {
		return
	}
	next := time.Duration(-1)
	for range len(p.ready) {
		l := p.ready[0]
		copy(p.ready, p.ready[1:])
		p.ready = p.ready[:len(p.ready)-1]
		if at, ok := c.mayAfter(l); !ok {
			p.ready = append(p.ready, l)
			if next < 0 || at < next {
				next = at
			}
			continue
		}
		c.transmit(l)
		if len(l.frames) > 0 {
			p.ready = append(p.ready, l)
		}
		return
	}
	if next >= 0 && !p.waiting {
		p.waiting = true
		c.after(next-c.now, func() {
			p.waiting = false
			c.pump(p)
		})
	}
}

// mayAfter reports whether a connection may have more in flight, or when.
func (c *Crowd) mayAfter(l *link) (time.Duration, bool) {
	for len(l.flights) > 0 && l.flights[0].acked <= c.now {
		l.inFlight -= l.flights[0].bytes
		l.flights = l.flights[1:]
	}
	if l.inFlight < l.window {
		return 0, true
	}
	return l.flights[0].acked, false
}

// transmit sends the next unit of a connection. When it will have arrived is
// known at once: it passes the receiver's line after what is on its way there.
func (c *Crowd) transmit(l *link) {
	p, q, f := l.self, l.other, l.frames[0]
	count := min(c.cfg.Unit, f.Count-f.sent)
	bytes := c.span(f.Piece, f.First+f.sent, count)
	wire := float64(bytes) * c.cfg.Overhead
	took := seconds(wire / p.up)
	p.busy = true
	p.working += took
	c.note(c.now, took)
	c.push(event{at: c.now + took, kind: sent, peer: p})
	q.clear = max(q.clear, c.now+l.delay) + seconds(wire/q.down)
	at := max(q.clear, c.now+took+l.delay)
	c.push(event{at: at, kind: arrived, link: l.back, frame: f, first: uint8(f.First + f.sent), count: uint8(count)})
	l.inFlight += bytes
	l.flights = append(l.flights, flight{bytes, at + l.delay})
	f.sent += count
	p.sending = l
	p.sentAll += int64(bytes)
	l.sent += int64(bytes)
}

// onSent ends the sending of a unit. What was written makes room in a slot.
func (c *Crowd) onSent(p *peer) {
	p.busy = false
	l := p.sending
	f := l.frames[0]
	f.gone = f.sent
	if f.gone == f.Count {
		l.frames = l.frames[1:]
		if len(l.frames) == 0 {
			p.ready = without(p.ready, l)
		}
	}
	free := p.slots
	c.buffered(l)
	c.pump(p)
	if p.slots > free {
		c.dispatch(p)
	}
}

// buffered ends the writing of frames whose rest fits into the send buffer of
// the connection: to the server they are sent.
func (c *Crowd) buffered(l *link) {
	for len(l.writing) > 0 {
		unsent := 0
		for _, f := range l.frames {
			unsent += c.span(f.Piece, f.First+f.gone, f.Count-f.gone)
			if f == l.writing[0] {
				break
			}
		}
		f := l.writing[0]
		if f.gone < f.Count && unsent > c.cfg.Buffer {
			return
		}
		l.writing = l.writing[1:]
		c.written(l, f)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func without[T comparable](list []T, x T) []T {
	for i, y := range list {
		if y == x {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
