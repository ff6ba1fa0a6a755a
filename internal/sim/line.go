package sim

import "time"

// line is a peer's access to the network.
type line struct {
	up, down float64 // bytes/s
	busy     bool    // a unit is being sent
	ready    []*link // with frames to be sent, in the order of their turns
	clear    time.Duration
	sentAll  int64         // payload bytes sent
	working  time.Duration // time in which units were sent
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
	for range len(p.ready) {
		l := p.ready[0]
		copy(p.ready, p.ready[1:])
		p.ready = p.ready[:len(p.ready)-1]
		if l.inFlight >= l.window {
			p.ready = append(p.ready, l)
			continue
		}
		c.transmit(l)
		if len(l.frames) > 0 {
			p.ready = append(p.ready, l)
		}
		return
	}
}

// transmit sends the next unit of a connection.
func (c *Crowd) transmit(l *link) {
	p, f := l.self, l.frames[0]
	count := min(c.cfg.Unit, f.Count-f.sent)
	bytes := c.span(f.Piece, f.First+f.sent, count)
	took := seconds(float64(bytes) * c.cfg.Overhead / p.up)
	p.busy = true
	p.working += took
	c.note(c.now, took)
	c.push(event{at: c.now + took, kind: sent, peer: p})
	unit := event{at: c.now + l.delay, kind: entered, peer: l.other, link: l.back, frame: f, first: uint8(f.First + f.sent), count: uint8(count)}
	if l.delay > 0 {
		c.push(unit)
	} else {
		c.onEntered(unit)
	}
	l.inFlight += bytes
	f.sent += count
	p.sending = l
	p.sentAll += int64(bytes)
	l.sent += int64(bytes)
	if p.spec.Gives > 0 && float64(p.sentAll) >= p.spec.Gives*float64(len(c.sizes)*c.cfg.Piece) {
		c.after(0, func() { c.leave(p) })
	}
}

// onEntered has a unit pass the receiver's line, after what is there already.
// When the sender will know that it did is known at once.
func (c *Crowd) onEntered(ev event) {
	l, q := ev.link, ev.link.self
	wire := float64(c.span(ev.frame.Piece, int(ev.first), int(ev.count))) * c.cfg.Overhead
	q.clear = max(q.clear, c.now) + seconds(wire/q.down)
	ev.at, ev.kind = max(q.clear, c.now+seconds(wire/l.other.up)), arrived
	c.push(ev)
	ev.at, ev.kind, ev.peer, ev.link = ev.at+l.delay, room, l.other, l.back
	c.push(ev)
}

// onRoom lets a connection send more.
func (c *Crowd) onRoom(ev event) {
	l := ev.link
	l.inFlight -= c.span(ev.frame.Piece, int(ev.first), int(ev.count))
	c.pump(l.self)
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
