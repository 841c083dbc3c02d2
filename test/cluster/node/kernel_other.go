//go:build !linux

package node

import "errors"

const namespaces = 0

func setHostname(string) error { return errors.ErrUnsupported }

func mountAll(Spec) error { return errors.ErrUnsupported }

// Exec is for Linux.
func Exec([]string) error { return errors.ErrUnsupported }
