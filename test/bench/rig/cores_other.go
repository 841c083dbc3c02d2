//go:build !linux

package rig

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// OnTwoCores can bind to cores on Linux only.
func OnTwoCores(stderr io.Writer) error {
	_, _ = fmt.Fprintf(stderr, "bench: note: the bounds are made for 2 cores of Linux, and this is %s with %d\n", runtime.GOOS, runtime.NumCPU())
	return nil
}

func inMemory(string) bool { return false }

// CPUTime is not known here.
func CPUTime(int) time.Duration { return 0 }

// FamilyTime is not known here.
func FamilyTime(...int) time.Duration { return 0 }

// Quota is a control group; there are none here.
type Quota struct{}

// NewQuota is Unsupported here.
func NewQuota(string, float64) (*Quota, error) {
	return nil, errs.New(errs.Unsupported, "only Linux has control groups")
}

// Within is the command itself.
func (q *Quota) Within(command ...string) []string { return command }

// Close does nothing.
func (q *Quota) Close() error { return nil }
