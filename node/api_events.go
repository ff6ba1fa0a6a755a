package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readEvents reads the stream of an answer, tells each every event but the
// last, and returns the last. A stream that ends before is io.ErrUnexpectedEOF.
func readEvents(r io.Reader, each apiReader) (*apiEvent, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(br, maxAPILine)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		ev := new(apiEvent)
		if err := json.Unmarshal(line, ev); err != nil {
			return nil, fmt.Errorf("read the answer of the running node: %w", err)
		}
		if ev.Data < 0 || ev.Data > maxAPIData {
			return nil, fmt.Errorf("read the answer of the running node: %d bytes in one event, at most %d", ev.Data, maxAPIData)
		}
		if ev.End {
			return ev, nil
		}
		body := &io.LimitedReader{R: br, N: int64(ev.Data)}
		if err := each(ev, body); err != nil {
			return nil, err
		}
		if body.N > 0 {
			if _, err := io.Copy(io.Discard, body); err != nil {
				return nil, err
			}
		}
		if body.N > 0 {
			return nil, io.ErrUnexpectedEOF
		}
	}
}

// readLine returns one line of at most limit bytes without its newline. It is
// valid until the next read.
func readLine(br *bufio.Reader, limit int) ([]byte, error) {
	part, err := br.ReadSlice('\n')
	if err == nil {
		return part[:len(part)-1], nil
	}
	var line []byte
	for errors.Is(err, bufio.ErrBufferFull) {
		if line = append(line, part...); len(line) > limit {
			return nil, fmt.Errorf("read the answer of the running node: line over %d bytes", limit)
		}
		part, err = br.ReadSlice('\n')
	}
	if err != nil {
		return nil, err
	}
	line = append(line, part...)
	return line[:len(line)-1], nil
}
