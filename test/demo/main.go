// Command demo shows Strongkeep at work on a real Kubernetes: a secret goes from
// the vault into a pod, changes, and changes in the pod; who may not read it is
// told why; the server is killed and nothing is lost; a database's credential is
// rotated under load and no query fails. It drives build/strongkeep
// and kubectl as a person would (docs/demo.md).
//
// Start reading at [demo.steps].
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

const usage = `demo shows Strongkeep at work on a real Kubernetes.

Usage:
  demo        run it and remove everything (make demo)
  demo up     run it and leave it running, to look around (make up)
  demo down   end what up left running (make down)
  demo help   print this

Environment:
  NO_COLOR           no colours on a terminal
  STRONGKEEP_CACHE   where the programs of Kubernetes are kept

It needs Linux and root: a real node mounts file systems and runs containers.
Exit status: 0 all went well, 1 something did not, 2 wrong usage.
`

func main() {
	unsetForeign()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// unsetForeign removes settings of the user's that would change what the demo's
// own server and commands do.
func unsetForeign() {
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		foreign := strings.HasPrefix(name, "VAULT_") || strings.HasPrefix(name, "STRONGKEEP_") && name != "STRONGKEEP_CACHE"
		if foreign || name == "KUBECONFIG" {
			_ = os.Unsetenv(name)
		}
	}
}

func run(ctx context.Context, args []string) int {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	var do func(context.Context, string) error
	switch {
	case len(args) > 1:
	case command == "":
		do = once
	case command == "up":
		do = up
	case command == "down":
		do = down
	case command == ownerCommand:
		do = own
	case command == "help", command == "-h", command == "--help":
		fmt.Print(usage)
		return 0
	}
	if do == nil {
		fmt.Fprintf(os.Stderr, "demo: wrong usage: %s\n\n%s", strings.Join(args, " "), usage)
		return 2
	}
	root, err := repository()
	if err == nil {
		err = do(ctx, root)
	}
	if errors.Is(err, errReported) {
		return 1
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// errReported says that the user has been told what went wrong.
var errReported = errors.New("reported")

// repository returns the folder of the checkout that the working directory is in.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test", "demo", "main.go")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not in a checkout of Strongkeep: change to it, or run `make demo` there")
		}
		dir = parent
	}
}

// ready says what the demo would miss on this machine.
func ready() error {
	if os.Getuid() == 0 {
		return nil
	}
	return errors.New(`it needs root, and this is not root: the node of the real Kubernetes mounts file systems,
makes network devices and runs containers. Nothing was started.

  sudo make demo     with root, all of it
  make cluster       without: the control plane only, in which no pod runs
  make build && build/strongkeep server -dev
                     without: the vault alone`)
}

// once runs the demo and removes everything.
func once(ctx context.Context, root string) error {
	if err := ready(); err != nil {
		return err
	}
	dieWithParent()
	dir, release, err := tempDir()
	if err != nil {
		return err
	}
	defer release()
	d, err := newDemo(root, dir, os.Stdout, report.StyleOf(os.Stdout, os.Getenv))
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	err = d.run(ctx)
	if err != nil {
		d.explain(err)
	}
	if down := d.tearDown(); down != nil {
		d.report.Say("not everything could be removed: " + down.Error())
		err = errReported
	}
	if err != nil {
		return errReported
	}
	d.report.Say(fmt.Sprintf("all of it in %s; `make up` leaves it running to look around", report.Brief(d.report.Elapsed())))
	return nil
}

// tempPattern names the directories of runs; orphanAge is how old one must be to
// be taken for that of a run that was killed, if nobody holds its lock.
const (
	tempPattern = "strongkeep-demo-*"
	orphanAge   = time.Minute
)

// tempDir makes a directory for a run, which holds its lock until release, and
// removes those of runs that were killed.
func tempDir() (dir string, release func(), err error) {
	orphans, err := filepath.Glob(filepath.Join(os.TempDir(), tempPattern))
	if err != nil {
		return "", nil, fmt.Errorf("looking for earlier runs: %w", err)
	}
	for _, orphan := range orphans {
		removeOrphan(orphan)
	}
	if dir, err = os.MkdirTemp("", tempPattern); err != nil {
		return "", nil, fmt.Errorf("making a directory: %w", err)
	}
	l, err := lock.Try(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, l.Drop, nil
}

func removeOrphan(dir string) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || time.Since(info.ModTime()) < orphanAge {
		return
	}
	l, err := lock.Try(filepath.Join(dir, "lock"))
	if err != nil {
		return // somebody runs there, or it is not ours
	}
	_ = os.RemoveAll(dir)
	l.Drop()
}

// newDemo prepares a run whose state is in dir, which exists and is private.
func newDemo(root, dir string, out io.Writer, style report.Style) (*demo, error) {
	log, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the demo's log: %w", err)
	}
	return &demo{
		root: root, dir: dir, log: log,
		report: report.New(io.MultiWriter(out, log), style, time.Now),
	}, nil
}
