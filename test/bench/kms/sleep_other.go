//go:build !linux

package kms

import "time"

// sleeper makes the sleep of a pace.
func sleeper() (until func(time.Time), end func()) {
	return func(due time.Time) { <-time.After(time.Until(due)) }, func() {}
}
