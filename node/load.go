package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxConfigFile is the largest config.toml read, in bytes.
const maxConfigFile = 1 << 20

// The sources of a Setting, weakest first.
const (
	FromDefault = "default"
	FromFile    = "config.toml"
	FromEnv     = "environment"
	FromFlag    = "flag"
)

// Load makes the Config of dir: flags over environment over dir/config.toml
// over defaults, and says of each option where its value came from. env is
// os.LookupEnv or a stand-in; flags has the values of each flag that was given,
// by its key. What cannot be right is ErrUsage, naming its source; an unknown
// key in the file too.
func Load(dir string, env func(string) (string, bool), flags map[string][]string) (Config, []Setting, error) {
	text, err := readConfigFile(filepath.Join(dir, "config.toml"))
	if err != nil {
		return Config{}, nil, err
	}
	cfg, inFile, err := parseConfig(text)
	if err != nil {
		return Config{}, nil, fmt.Errorf("%w: %s: %v", ErrUsage, filepath.Join(dir, "config.toml"), err)
	}
	cfg.Dir = dir
	var settings []Setting
	for _, o := range Options() {
		s, err := overlay(&cfg, o, inFile[o.Key], env, flags[o.Key])
		if err == nil {
			err = checkOption(&cfg, o)
		}
		if err != nil {
			return Config{}, nil, fmt.Errorf("%w: %s from %s: %v", ErrUsage, o.Key, s.Source, err)
		}
		settings = append(settings, s)
	}
	return cfg, settings, nil
}

// overlay sets one option from its strongest source.
func overlay(cfg *Config, o Option, inFile bool, env func(string) (string, bool), flag []string) (Setting, error) {
	s := Setting{Key: o.Key, Value: o.Default, Source: FromDefault}
	var values []string
	if v, ok := env(o.Env()); ok && v != "" {
		s.Source, values = FromEnv, []string{v}
		if o.List {
			values = splitList(v)
		}
	}
	if len(flag) > 0 {
		s.Source, values = FromFlag, flag
	}
	if values != nil {
		if err := setField(cfg, o, values); err != nil {
			return s, err
		}
	} else if inFile {
		s.Source = FromFile
	}
	if s.Source != FromDefault {
		s.Value = showField(cfg, o)
	}
	return s, nil
}

// splitList reads a comma-separated variable; empty elements are dropped.
func splitList(s string) []string {
	list := []string{}
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			list = append(list, v)
		}
	}
	return list
}

// readConfigFile returns nothing for a file that does not exist.
func readConfigFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if len(text) > maxConfigFile {
		return nil, fmt.Errorf("%w: %s is over %d bytes", ErrUsage, path, maxConfigFile)
	}
	return text, nil
}

// parseConfig reads config.toml and tells which keys it has.
func parseConfig(text []byte) (Config, map[string]bool, error) {
	var cfg Config
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return Config{}, nil, explainTOML(err)
	}
	var present map[string]any
	if err := toml.Unmarshal(text, &present); err != nil {
		return Config{}, nil, explainTOML(err)
	}
	keys := make(map[string]bool, len(present))
	for _, k := range slices.Sorted(maps.Keys(present)) {
		// The decoder takes keys in any case of letters; the promise is one key.
		if !slices.Contains(knownKeys(), k) {
			return Config{}, nil, unknownKey(k)
		}
		keys[k] = true
	}
	return cfg, keys, nil
}

// explainTOML names the line and, for an unknown key, the keys there are.
func explainTOML(err error) error {
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(missing.Errors) > 0 {
		first := missing.Errors[0]
		row, _ := first.Position()
		return fmt.Errorf("line %d: %w", row, unknownKey(strings.Join(first.Key(), ".")))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := bad.Position()
		return fmt.Errorf("line %d, column %d: %v", row, column, bad)
	}
	return err
}

func unknownKey(key string) error {
	return fmt.Errorf("unknown key %q; the keys are %s", key, strings.Join(knownKeys(), ", "))
}

func knownKeys() []string {
	var known []string
	for _, o := range Options() {
		known = append(known, o.Key)
	}
	return known
}
