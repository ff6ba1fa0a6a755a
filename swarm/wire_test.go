package swarm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/shoal-p2p/shoal/swarm/membership"
)

// What is read is written again as the same bytes.
func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, kindHello, appendHello(nil, hello{sequence: 3, chain: membership.Chain{{1, 2}, {3}}})))
	f.Add(appendMessage(nil, kindWelcome, nil))
	f.Add(appendMessage(nil, kindRefuse, []byte{4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		k, body, err := readMessage(r, kindHello, kindList, kindWelcome, kindRefuse)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r)
		again := append(appendMessage(nil, k, body), rest...)
		// The length alone may be written longer than need be.
		if !bytes.HasSuffix(b, again[min(3, len(again)):]) {
			t.Errorf("%x is written as %x", b, again)
		}
		if h, err := parseHello(body); k == kindHello && err == nil && !bytes.Equal(appendHello(nil, h), body) {
			t.Errorf("hello %x is written as %x", body, appendHello(nil, h))
		}
	})
}

func TestReadMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"welcome":          {appendMessage(nil, kindWelcome, nil), nil},
		"not wanted":       {appendMessage(nil, kindList, nil), errProtocol},
		"unknown":          {appendMessage(nil, 9, nil), errProtocol},
		"no kind":          {[]byte{0}, errProtocol},
		"too long":         {appendMessage(nil, kindWelcome, make([]byte, maxHello+1)), errProtocol},
		"refusal too long": {appendMessage(nil, kindRefuse, []byte{1, 2}), errProtocol},
		"cut":              {appendMessage(nil, kindWelcome, []byte{1, 2})[:3], io.ErrUnexpectedEOF},
	} {
		_, _, err := readMessage(bufio.NewReader(bytes.NewReader(c.b)), kindWelcome, kindRefuse)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Each reason has a code, and comes back as the same error.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, err := range reasons {
		if got := reasonOf(code(err)); !errors.Is(got, err) {
			t.Errorf("%v comes back as %v", err, got)
		}
	}
	if code(io.EOF) != 0 || reasonOf(0) == nil || reasonOf(200) == nil {
		t.Error("what is not a reason has a code")
	}
}
