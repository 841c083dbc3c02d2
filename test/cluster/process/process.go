package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bounds of the log that an error quotes.
const (
	tailLines = 15
	tailBytes = 8 << 10
)

// pollInterval is how often Await asks.
const pollInterval = 50 * time.Millisecond

// Config describes a program to run.
type Config struct {
	Name   string // of its log file, LogDir/Name.log
	Path   string
	Args   []string
	Env    []string // added to the environment of this process
	LogDir string
	Stdin  io.Reader
	Stdout io.Writer // nil: the log
	// Cloneflags are namespaces to enter anew, as for clone(2).
	Cloneflags uintptr
}

// Process is a running program. Its methods are safe for concurrent use.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// Start runs a program in a process group of its own. It is killed when this
// process dies.
func Start(c Config) (*Process, error) {
	log := filepath.Join(c.LogDir, c.Name+".log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening log of %s: %w", c.Name, err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, f
	if c.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.SysProcAttr = attributes(c.Cloneflags)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Name is the name of the program and of its log.
func (p *Process) Name() string { return p.name }

// PID is the process ID in the PID namespace of the caller.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the program to end, kills it after grace (at once if zero) and
// waits until it is gone. It may be called again.
func (p *Process) Stop(grace time.Duration) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return
		case <-time.After(grace):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Explain adds the end of the program's log, and how the program ended if it
// did, to err.
func (p *Process) Explain(err error) error {
	state := ""
	select {
	case <-p.done:
		state = " has ended"
		if p.err != nil {
			state = fmt.Sprintf(" has ended (%v)", p.err)
		}
	default:
	}
	return fmt.Errorf("%w; %s%s; end of %s:\n%s", err, p.name, state, p.log, Tail(p.log))
}

// Await polls ready until it returns nil, the program ends or ctx does. Its
// error ends with the log of the program.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.Explain(err)
		case <-ctx.Done():
			return p.Explain(fmt.Errorf("%w (%w)", err, ctx.Err()))
		case <-time.After(pollInterval):
		}
	}
}

// Tail returns the last lines of a file, indented, or why there are none.
func Tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "  " + err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return "  " + err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return "  " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
