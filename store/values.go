package store

import (
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"
)

// Limits of the values that other parts of the node keep here.
const (
	MaxValue  = 64 << 10 // bytes of a value
	MaxName   = 512      // bytes of a bucket's name or a key
	MaxValues = 64 << 10 // keys of a bucket
)

// Get returns a value that Put stored, or ErrNotFound.
func (d *Disk) Get(bucket, key string) ([]byte, error) {
	var value []byte
	err := d.view(func(t tx) error {
		b := t.in(valuesBucket).Bucket([]byte(bucket))
		if b == nil {
			return ErrNotFound
		}
		v := b.Get([]byte(key))
		if v == nil {
			return ErrNotFound
		}
		value = append([]byte{}, v...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	return value, nil
}

// Put stores a value durably; nil deletes. It returns ErrLimit past MaxValue,
// MaxName or MaxValues.
func (d *Disk) Put(bucket, key string, value []byte) error {
	return d.PutAll(bucket, map[string][]byte{key: value})
}

// PutAll is Put for several keys at the price of one: all or none are stored.
func (d *Disk) PutAll(bucket string, values map[string][]byte) error {
	if err := checkValues(bucket, values); err != nil {
		return err
	}
	return d.update(func(t tx) error {
		b, err := t.in(valuesBucket).CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err := putValue(b, []byte(key), values[key]); err != nil {
				return fmt.Errorf("put %s/%s: %w", bucket, key, err)
			}
		}
		return nil
	})
}

// putValue keeps the number of keys in the bucket's sequence.
func putValue(b *bbolt.Bucket, key, value []byte) error {
	count, isNew := b.Sequence(), b.Get(key) == nil
	switch {
	case value == nil && isNew:
		return nil
	case value == nil:
		if err := b.SetSequence(count - 1); err != nil {
			return err
		}
		return b.Delete(key)
	case isNew && count >= MaxValues:
		return fmt.Errorf("more than %d keys: %w", MaxValues, ErrLimit)
	case isNew:
		if err := b.SetSequence(count + 1); err != nil {
			return err
		}
	}
	return b.Put(key, value)
}

func checkValues(bucket string, values map[string][]byte) error {
	for key, value := range values {
		if bucket == "" || key == "" || len(bucket) > MaxName || len(key) > MaxName || len(value) > MaxValue {
			return fmt.Errorf("put %.32s/%.32s: names of 1 to %d bytes and values of at most %d: %w",
				bucket, key, MaxName, MaxValue, ErrLimit)
		}
	}
	return nil
}
