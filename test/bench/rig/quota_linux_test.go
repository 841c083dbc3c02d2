package rig

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A process that would take a whole core has a part of it.
func TestQuota(t *testing.T) {
	q, err := NewQuota("strongkeep-quota-"+strconv.Itoa(os.Getpid()), 0.2)
	if errs.Is(err, errs.Unsupported) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	command := q.Within("timeout", "2", "sh", "-c", "while :; do :; done")
	cmd := exec.Command(command[0], command[1:]...)
	begin := time.Now()
	_ = cmd.Run()
	took := time.Since(begin)
	if code := cmd.ProcessState.ExitCode(); code != 124 {
		t.Errorf("it was not ended by timeout: %d", code)
	}
	if spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); spent == 0 || spent > took/2 {
		t.Errorf("it had %v of %v", spent, took)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
