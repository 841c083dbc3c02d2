package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// Config is what the command line says.
type Config struct {
	Duration time.Duration // of a load
	Binary   string        // "" = build it
	Progress io.Writer     // for Say
}

// Rig is what benchmarks have in common. They run one at a time.
type Rig struct {
	Config
	Root string // of the repository
	Dir  string // for everything they write, on the repository's disk; removed at the end
	Self string // this program
	runs int    // servers started so far, to name their folders
}

// Prepare builds what is measured. Close the Rig at the end.
func Prepare(ctx context.Context, c Config) (*Rig, error) {
	b := &Rig{Config: c}
	var err error
	if b.Root, err = repository(); err != nil {
		return nil, err
	}
	if b.Self, err = os.Executable(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "finding this program: %w", err)
	}
	if b.Binary == "" {
		b.Say("building the binary")
		b.Binary = filepath.Join(b.Root, "build", "strongkeep")
		if _, err := Command(ctx, b.Root, "make", "build"); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(b.Root, "build"), 0o755); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the folder build: %w", err)
	}
	if b.Dir, err = os.MkdirTemp(filepath.Join(b.Root, "build"), "bench-"); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a folder for what is measured: %w", err)
	}
	if inMemory(b.Dir) {
		b.Say("note: %s is in memory, where making something durable costs nothing; the figures flatter", b.Dir)
	}
	return b, nil
}

// Close removes what the benchmarks wrote.
func (b *Rig) Close() { _ = os.RemoveAll(b.Dir) }

// Say prints a line of progress with the time of day.
func (b *Rig) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.Progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// Start runs a program that is killed when this one ends. Its log is quoted in errors.
func (b *Rig) Start(name, path string, args ...string) (*process.Process, error) {
	return process.Start(process.Config{Name: name, Path: path, Args: args, LogDir: b.Dir})
}

// repository is the folder of go.mod, from where this program is run.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "finding the repository: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", errs.Newf(errs.Invalid, "%s is not in the repository: run the benchmarks with make bench", dir)
		}
	}
}

// Command runs a program to its end and returns what it printed.
func Command(ctx context.Context, dir, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "running %s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// FreeAddress is one that nobody listens on now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
