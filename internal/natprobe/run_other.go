//go:build !linux

package main

import "errors"

func run([]string) error { return errors.New("this needs Linux's network namespaces") }
