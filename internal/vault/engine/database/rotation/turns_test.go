package rotation

import (
	"context"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestTurns(t *testing.T) {
	var all Turns[Subject]
	s := Subject{Name: "s"}
	release, err := all.Take(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	other, err := all.Take(t.Context(), Subject{Root: true, Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	other()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.Take(ended, s); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a turn that another has: %v", err)
	}
	came := make(chan error)
	go func() {
		release, err := all.Take(t.Context(), s)
		if err == nil {
			release()
		}
		came <- err
	}()
	release()
	select {
	case err := <-came:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the turn was not handed on")
	}
	if len(all.held) != 0 {
		t.Errorf("%d turns are kept", len(all.held))
	}
}
