package node

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/shoal-p2p/shoal/merkle"
)

// FuzzConfigFields: what is set is read back from the text that it is written as.
func FuzzConfigFields(f *testing.F) {
	f.Add("/ip4/0.0.0.0/tcp/1", "https://h/x", "off", "20Mbit/s", "roots", true)
	f.Add("a'b", "\"\"\"\n'''", "\\", "#=[]", "\t", false)
	f.Fuzz(func(t *testing.T, listen, origin, mdns, rate, announce string, relay bool) {
		for _, s := range []string{listen, origin, mdns, rate, announce} {
			if !utf8.ValidString(s) {
				return // TOML is UTF-8
			}
		}
		in := Config{
			Listen: []string{listen, origin}, Origins: []string{origin}, MDNS: Switch(mdns),
			Upload: rate, Announce: announce, Relay: relay,
		}
		text, err := toml.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out, keys, err := parseConfig(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !reflect.DeepEqual(trimEmpty(out), trimEmpty(in)) || keys["relay"] != relay || !keys["listen"] {
			t.Fatalf("%+v came back as %+v from\n%s", in, out, text)
		}
	})
}

// FuzzEvents: any answer of a node is read within its limits, and what a node
// writes is read as it was.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"data":3}`+"\nabc"+`{"end":true}`+"\n"), "why", []byte("data"))
	f.Add([]byte(`{"data":-1}`+"\n"), "", []byte(nil))
	f.Add([]byte("{}\n{}\n"), "\x00", []byte("x"))
	f.Fuzz(func(t *testing.T, answer []byte, why string, data []byte) {
		got := 0
		last, err := readEvents(bytes.NewReader(answer), func(ev *apiEvent, body io.Reader) error {
			b, err := io.ReadAll(body)
			if got += len(b); len(b) > ev.Data {
				t.Errorf("%d bytes of an event with %d", len(b), ev.Data)
			}
			return err
		})
		if (err == nil) != (last != nil && last.End) || got > len(answer) {
			t.Errorf("%q: %v, %v, %d bytes", answer, last, err, got)
		}

		w := httptest.NewRecorder()
		s := newAPIStream(w)
		s.send(apiEvent{Skip: &apiSkip{Path: "p", Why: why}})
		if _, err := s.Write(data); err != nil {
			t.Fatal(err)
		}
		s.end("result", nil)
		var back bytes.Buffer
		var skipped string
		last, err = readEvents(w.Body, func(ev *apiEvent, body io.Reader) error {
			if ev.Skip != nil {
				skipped = ev.Skip.Why
			}
			_, err := io.Copy(&back, body)
			return err
		})
		if err != nil || string(last.Result) != `"result"` || !bytes.Equal(back.Bytes(), data) || utf8.ValidString(why) && skipped != why {
			t.Errorf("%q and %q came back as %q and %q, %v", why, data, skipped, back.Bytes(), err)
		}
	})
}

// FuzzAPIError: an error keeps its words and what it is over the socket, and
// over a second one.
func FuzzAPIError(f *testing.F) {
	for i := range 8 {
		f.Add("words", i, "why", "liar")
	}
	f.Fuzz(func(t *testing.T, words string, kind int, why, liar string) {
		is := apiSentinels[uint(kind)%uint(len(apiSentinels))].err
		root := merkle.UnixFSv1.Leaf([]byte(words)).CID
		in := errors.Join(errors.New(words), is, &UnavailableError{Root: root, Why: why, Liars: []string{liar}})
		once := encodeError(in).decode()
		twice := encodeError(once).decode()
		for _, err := range []error{once, twice} {
			u := as[*UnavailableError](t, err)
			if err.Error() != in.Error() || !errors.Is(err, is) || !u.Root.Equals(root) || u.Why != why || u.Liars[0] != liar {
				t.Errorf("%v came back as %v", in, err)
			}
		}
		if !reflect.DeepEqual(encodeError(once), encodeError(twice)) {
			t.Errorf("%+v, then %+v", encodeError(once), encodeError(twice))
		}
	})
}

// FuzzUnits: a rate and a size that are read make sense.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"", "off", "unlimited", "20Mbit/s", "1.5TiB", "0", "-1MB/s", "1e3", "99999999999999999999GB", "5 parsecs", "NaN", "Inf MB/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		if err == nil && (r.Bytes < 0 || r.Bytes > 0 && (r.Off || r.Unlimited) || r.Off && r.Unlimited) {
			t.Errorf("%q is the rate %+v", s, r)
		}
		n, err := ParseSize(s)
		if err == nil && n < -1 {
			t.Errorf("%q is the size %d", s, n)
		}
	})
}
