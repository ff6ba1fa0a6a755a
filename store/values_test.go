package store

import (
	"errors"
	"fmt"
	"testing"
)

func TestValues(t *testing.T) {
	t.Parallel()
	type values interface {
		Get(bucket, key string) ([]byte, error)
		Put(bucket, key string, value []byte) error
		PutAll(bucket string, values map[string][]byte) error
	}
	for _, s := range []values{openDisk(t, t.TempDir()), NewMem()} {
		if _, err := s.Get("b", "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%T: absent: %v", s, err)
		}
		if err := s.PutAll("b", map[string][]byte{"k": []byte("v"), "empty": {}}); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Get("b", "k"); err != nil || string(v) != "v" {
			t.Errorf("%T: got %q, %v", s, v, err)
		}
		if v, err := s.Get("b", "empty"); err != nil || len(v) != 0 {
			t.Errorf("%T: got %q, %v", s, v, err)
		}
		if err := s.Put("b", "k", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get("b", "k"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%T: deleted: %v", s, err)
		}
		for _, err := range []error{
			s.Put("b", "k", make([]byte, MaxValue+1)),
			s.Put("b", string(make([]byte, MaxName+1)), nil),
			s.Put("", "k", nil),
			s.Put("b", "", nil),
		} {
			if !errors.Is(err, ErrLimit) {
				t.Errorf("%T: got %v", s, err)
			}
		}
		many := map[string][]byte{}
		for i := range MaxValues - 1 {
			many[fmt.Sprint(i)] = []byte{1}
		}
		if err := s.PutAll("b", many); err != nil { // with "empty" it is full
			t.Fatal(err)
		}
		if err := s.Put("b", "one more", []byte{1}); !errors.Is(err, ErrLimit) {
			t.Errorf("%T: a full bucket: %v", s, err)
		}
		if err := s.Put("b", "0", []byte{2}); err != nil {
			t.Errorf("%T: replaced in a full bucket: %v", s, err)
		}
	}
}
