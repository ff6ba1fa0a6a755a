package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func cmdShape(ts *testscript.TestScript, neg bool, args []string) {
	wantUse(ts, neg, len(args) == 2, "shape FILE EXAMPLE")
	var got, example any
	for file, v := range map[string]*any{args[0]: &got, args[1]: &example} {
		if err := json.Unmarshal([]byte(ts.ReadFile(file)), v); err != nil {
			ts.Fatalf("%s is not JSON: %v", file, err)
		}
	}
	for _, line := range misshapen("", got, example) {
		ts.Logf("%s", line)
		neg = true
	}
	if neg {
		ts.Fatalf("not the shape of %s: %s", args[1], ts.ReadFile(args[0]))
	}
}

// misshapen says where got lacks a field of example or has another type. Every
// element of a list has the shape of the example's first. The field "*" stands
// for any name.
func misshapen(at string, got, example any) []string {
	switch example := example.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, not an object", at, got)}
		}
		var lines []string
		for _, name := range slices.Sorted(maps.Keys(example)) {
			if name == "*" {
				for k, v := range object {
					lines = append(lines, misshapen(at+"."+k, v, example[name])...)
				}
			} else if v, ok := object[name]; !ok {
				lines = append(lines, at+"."+name+" is not there")
			} else {
				lines = append(lines, misshapen(at+"."+name, v, example[name])...)
			}
		}
		return lines
	case []any:
		list, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, not a list", at, got)}
		}
		if len(example) > 0 && len(list) == 0 {
			return []string{at + " is empty"}
		}
		var lines []string
		for i, v := range list {
			if len(example) > 0 {
				lines = append(lines, misshapen(fmt.Sprintf("%s[%d]", at, i), v, example[0])...)
			}
		}
		return lines
	}
	if a, b := fmt.Sprintf("%T", got), fmt.Sprintf("%T", example); a != b {
		return []string{fmt.Sprintf("%s is %s, not %s", at, a, b)}
	}
	return nil
}

func TestMisshapen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		got, example string
		wrong        int
	}{
		{`{"a":1,"b":"x","new":[]}`, `{"a":0,"b":""}`, 0},
		{`{"a":"1"}`, `{"a":0,"b":""}`, 2},
		{`[{"a":1},{"b":1}]`, `[{"a":0}]`, 1},
		{`[]`, `[0]`, 1},
		{`[]`, `[]`, 0},
		{`null`, `[]`, 1},
		{`{"x":1,"y":"2"}`, `{"*":0}`, 1},
		{`3`, `{}`, 1},
	} {
		var got, example any
		if json.Unmarshal([]byte(tt.got), &got) != nil || json.Unmarshal([]byte(tt.example), &example) != nil {
			t.Fatal(tt)
		}
		if lines := misshapen("", got, example); len(lines) != tt.wrong {
			t.Errorf("%s against %s: %q", tt.got, tt.example, lines)
		}
	}
}
