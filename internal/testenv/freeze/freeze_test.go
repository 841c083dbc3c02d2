package freeze_test

import (
	"bufio"
	"os/exec"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
)

// A process that echoes lines echoes none while it is stopped, and those it was
// given in the meantime afterwards.
func TestStop(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := make(chan string, 1)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	say := func(text string) {
		t.Helper()
		if _, err := in.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	if got := <-lines; got != "one" {
		t.Fatalf("the process echoes %q", got)
	}
	if err := freeze.Stop(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	say("two")
	select {
	case got := <-lines:
		t.Errorf("a stopped process echoes %q", got)
	case <-time.After(50 * time.Millisecond):
	}
	if err := freeze.Continue(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got := <-lines; got != "two" {
		t.Errorf("the process echoes %q", got)
	}
}

func TestNoSuchProcess(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if err := freeze.Stop(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended is stopped without an error")
	}
}
