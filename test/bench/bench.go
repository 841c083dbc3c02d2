package main

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

// config is what the command line says.
type config struct {
	duration time.Duration // of a load
	binary   string        // "" = build it
	progress io.Writer
	table    io.Writer
}

// bench is what benchmarks have in common. They run one at a time.
type bench struct {
	config
	root string // of the repository
	dir  string // for everything they write, on the repository's disk; removed at the end
	self string // this program
	runs int    // servers started so far, to name their folders
}

// prepare builds what is measured.
func prepare(ctx context.Context, c config) (*bench, error) {
	b := &bench{config: c}
	var err error
	if b.root, err = repository(); err != nil {
		return nil, err
	}
	if b.self, err = os.Executable(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "finding this program: %w", err)
	}
	if b.binary == "" {
		b.say("building the binary")
		b.binary = filepath.Join(b.root, "build", "strongkeep")
		if _, err := command(ctx, b.root, "make", "build"); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(b.root, "build"), 0o755); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the folder build: %w", err)
	}
	if b.dir, err = os.MkdirTemp(filepath.Join(b.root, "build"), "bench-"); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a folder for what is measured: %w", err)
	}
	if inMemory(b.dir) {
		b.say("note: %s is in memory, where making something durable costs nothing; the figures flatter", b.dir)
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// say prints a line of progress with the time of day.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// start runs a program that is killed when this one ends. Its log is quoted in errors.
func (b *bench) start(name, path string, args ...string) (*process.Process, error) {
	return process.Start(process.Config{Name: name, Path: path, Args: args, LogDir: b.dir})
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

// command runs a program to its end and returns what it printed.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
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

// freeAddress is one that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
