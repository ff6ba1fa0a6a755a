package store

import "errors"

// swapNames exchanges two names in one step, which no call does here.
func swapNames(_, _ string) error { return errors.ErrUnsupported }
