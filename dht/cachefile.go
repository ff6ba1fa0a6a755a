package dht

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// cacheFile is the file's form, JSON so that a person can read it. Times are in
// seconds since 1970.
type cacheFile struct {
	Version int                         `json:"version"`
	Peers   map[string]cacheFilePeer    `json:"peers"` // by peer ID
	Roots   map[string]map[string]int64 `json:"roots"` // multihash in base58 -> peer ID -> worked
}

type cacheFilePeer struct {
	Addrs  []string `json:"addrs"`
	Worked int64    `json:"worked"`
}

const cacheVersion = 1

// Save writes the cache to its file if it has changed. The file is replaced as
// a whole: a crash leaves the old one or the new one.
func (c *Cache) Save() error {
	c.saveMu.Lock()
	defer c.saveMu.Unlock()
	c.mu.Lock()
	if !c.dirty {
		c.mu.Unlock()
		return nil
	}
	f := c.encode()
	c.dirty = false
	c.mu.Unlock()

	b, err := json.Marshal(f)
	if err == nil {
		err = replaceFile(c.path, b)
	}
	if err != nil {
		c.mu.Lock()
		c.dirty = true
		c.mu.Unlock()
		return fmt.Errorf("save the peer cache: %w", err)
	}
	return nil
}

// encode runs with mu held.
func (c *Cache) encode() cacheFile {
	f := cacheFile{
		Version: cacheVersion,
		Peers:   make(map[string]cacheFilePeer, len(c.peers)),
		Roots:   make(map[string]map[string]int64, len(c.roots)),
	}
	for id, p := range c.peers {
		e := cacheFilePeer{Worked: p.worked.Unix()}
		for _, a := range p.info.Addrs {
			e.Addrs = append(e.Addrs, a.String())
		}
		f.Peers[id.String()] = e
	}
	for key, provs := range c.roots {
		ids := make(map[string]int64, len(provs))
		for id, at := range provs {
			ids[id.String()] = at.Unix()
		}
		f.Roots[mh.Multihash(key).B58String()] = ids
	}
	return f
}

// load reads the file. What has expired, names peers that are not there or
// claims to be from the future is left out; anything else that does not parse
// makes it fail.
func (c *Cache) load(now time.Time) error {
	r, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxCacheFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxCacheFile {
		return fmt.Errorf("the file has more than %d bytes", maxCacheFile)
	}
	return c.decode(b, now)
}

func (c *Cache) decode(b []byte, now time.Time) error {
	var f cacheFile
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f.Version != cacheVersion {
		return fmt.Errorf("version %d, want %d", f.Version, cacheVersion)
	}
	for s, e := range f.Peers {
		p, err := e.info(s)
		if err != nil {
			return err
		}
		if at := time.Unix(e.Worked, 0); fresh(at, now, cachePeerLife) {
			c.keep(p, at)
		}
	}
	for s, provs := range f.Roots {
		if len(s) > maxBase58 {
			return fmt.Errorf("root of %d characters", len(s))
		}
		key, err := mh.FromB58String(s)
		if err != nil {
			return fmt.Errorf("root %q: %w", s, err)
		}
		for s, sec := range provs {
			id, err := decodeID(s)
			if err != nil {
				return err
			}
			_, known := c.peers[id]
			if at := time.Unix(sec, 0); known && fresh(at, now, cacheProviderLife) {
				c.link(string(key), id, at)
			}
		}
	}
	return nil
}

// maxBase58 is the longest base58 string that is decoded, twice what the longest
// identifiers need: decoding takes time with the square of the length.
const maxBase58 = 128

func decodeID(s string) (peer.ID, error) {
	if len(s) > maxBase58 {
		return "", fmt.Errorf("peer ID of %d characters", len(s))
	}
	id, err := peer.Decode(s)
	if err != nil {
		return "", fmt.Errorf("peer %q: %w", s, err)
	}
	return id, nil
}

// info reads the entry of the peer with the ID s.
func (e cacheFilePeer) info(s string) (p peer.AddrInfo, err error) {
	if p.ID, err = decodeID(s); err != nil {
		return p, err
	}
	for _, s := range e.Addrs {
		if len(s) > maxCacheAddrLen {
			return p, fmt.Errorf("address of %s of %d characters", p.ID, len(s))
		}
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return p, fmt.Errorf("address of %s: %w", p.ID, err)
		}
		p.Addrs = append(p.Addrs, a)
	}
	return p, nil
}

// fresh says whether at is within life before now. A clock that was set back
// gets an hour's grace.
func fresh(at, now time.Time, life time.Duration) bool {
	age := now.Sub(at)
	return age < life && age > -time.Hour
}

// replaceFile writes b beside path and renames it to path once it is on disk.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
