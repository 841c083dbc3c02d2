package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
)

// Programs maps the names of programs to their paths.
type Programs map[string]string

// Ensure builds what the cache lacks for scope and returns all of it. Of several
// processes that call it at once, one builds and the others wait. It says what
// it does on log, with a moving line if log is a terminal.
func Ensure(ctx context.Context, scope Scope, log io.Writer) (Programs, error) {
	source, err := sourceDir()
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "kube")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("making cache: %w", err)
	}
	if scope == Node {
		if err := ensurePackages(ctx, log); err != nil {
			return nil, err
		}
	}
	wanted := groups(scope)
	p := newProgress(log)
	for _, g := range wanted {
		p.total += len(g.programs)
	}
	programs := Programs{}
	for _, g := range wanted {
		b := builder{group: g, source: filepath.Join(source, g.name), cache: cache, progress: p}
		dir, err := b.ensure(ctx)
		if err != nil {
			return nil, err
		}
		for _, program := range g.programs {
			programs[program[0]] = filepath.Join(dir, program[0])
		}
	}
	return programs, nil
}

// builder brings one group into the cache.
type builder struct {
	group    group
	source   string // folder of the group's go.mod
	cache    string
	progress *progress
}

func (b builder) ensure(ctx context.Context) (string, error) {
	key, err := b.group.key(b.source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.cache, key)
	if exists(dir) {
		b.progress.skip(len(b.group.programs))
		return dir, nil
	}
	l, err := lock.Wait(ctx, dir+".lock", func() {
		b.progress.say("waiting for another process that builds %s", key)
	})
	if err != nil {
		return "", err
	}
	defer l.Release()
	if exists(dir) {
		b.progress.skip(len(b.group.programs))
		return dir, nil
	}
	temp, err := tempDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := b.build(ctx, temp); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil {
		return "", fmt.Errorf("putting %s into the cache: %w", key, err)
	}
	return dir, nil
}

func (b builder) build(ctx context.Context, dir string) error {
	version, err := b.group.version(b.source)
	if err != nil {
		return err
	}
	source := b.source
	if len(b.group.files) > 0 {
		source = filepath.Join(dir, "source")
		if err := b.edited(ctx, source); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(source) }()
	}
	for _, program := range b.group.programs {
		args := append(b.group.args(version), "-o", filepath.Join(dir, program[0]), program[1])
		done := b.progress.begin(program[0] + " " + version)
		err := goCommand(ctx, source, b.group.env, args...)
		done(err)
		if err != nil {
			return fmt.Errorf("building %s: %w", program[0], err)
		}
	}
	return nil
}

// tempDir makes a directory that is to become dir, and removes those that
// interrupted builds left. The caller holds the lock. Each has a name of its
// own because a compiler may outlive the killed process that ran it.
func tempDir(dir string) (string, error) {
	left, err := filepath.Glob(dir + ".tmp-*")
	if err != nil {
		return "", fmt.Errorf("looking for interrupted builds: %w", err)
	}
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			return "", fmt.Errorf("removing an interrupted build: %w", err)
		}
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".tmp-")
	if err != nil {
		return "", fmt.Errorf("making build directory: %w", err)
	}
	return temp, os.Chmod(temp, 0o755)
}

// goCommand runs go in a module folder, apart from whatever workspace and flags
// the caller's environment asks for.
func goCommand(ctx context.Context, dir string, env []string, args ...string) error {
	_, err := goOutput(ctx, dir, env, args...)
	return err
}

// goOutput is goCommand, and returns what go printed.
func goOutput(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	cmd.Env = append(cmd.Env, env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go ends its compilers
	cmd.WaitDelay = 10 * time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s in %s: %w:\n%s", args[0], dir, err, strings.TrimSpace(complaints.String()+out.String()))
	}
	return out.Bytes(), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
