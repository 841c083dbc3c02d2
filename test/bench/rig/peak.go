package rig

import (
	"os/exec"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// often is how often a program is asked what it holds.
const often = 5 * time.Millisecond

// PeakOf runs a program to its end and returns the most physical memory that it held, in MB
// of 10^6 bytes. The program is asked while it runs: what the system says of one that has
// ended (ru_maxrss of getrusage(2)) is never less than what the process held that started
// it, which here may be a whole cluster.
func PeakOf(c *exec.Cmd) (mb float64, err error) {
	if err := c.Start(); err != nil {
		return 0, errs.Newf(errs.Unavailable, "starting %s: %w", c.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	ask := time.NewTicker(often)
	defer ask.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return 0, errs.Newf(errs.Unavailable, "running %s: %w", c.Path, err)
			}
			if mb == 0 {
				return 0, errs.Newf(errs.Unavailable, "%s ended before it was asked what memory it has", c.Path)
			}
			return mb, nil
		case <-ask.C:
			if m, err := MemoryOf(c.Process.Pid); err == nil { // else it has just ended
				mb = max(mb, m.Peak)
			}
		}
	}
}
