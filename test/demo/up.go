package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
	"github.com/strongkeep/strongkeep/test/demo/report"
)

// ownerCommand is the argument by which we become the process that owns what
// up leaves running: a session of its own, in the background. What it starts
// ends with it, however it ends.
//
//	up -> owner   its standard output: what to print; its file 3: readyLine
//	              once all is well
//	down -> owner SIGTERM; its process ID is the content of the lock it holds
const (
	ownerCommand = "owner"
	readyLine    = "ready"
	readyFile    = 3
	styleEnv     = "DEMO_STYLE" // report.Style of up's standard output, as JSON
)

// downLimit is how long everything may take to end.
const downLimit = time.Minute

// state is where an owner keeps things.
type state string

func stateOf(root string) state      { return state(filepath.Join(root, ".demo")) }
func (s state) lock() string         { return filepath.Join(string(s), "lock") }
func (s state) run() string          { return filepath.Join(string(s), "run") }
func (s state) instructions() string { return filepath.Join(s.run(), "look-around.txt") }
func (s state) rootToken() string    { return filepath.Join(s.run(), "root-token") }
func (s state) shares() string       { return filepath.Join(s.run(), "unseal-shares") }
func (s state) environment() string  { return filepath.Join(s.run(), "env") }
func (s state) owner() (*lock.Lock, error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	return lock.Try(s.lock())
}

// release gives up the lock of an owner that has removed its files.
func (s state) release(l *lock.Lock) {
	l.Release()
	_ = os.Remove(string(s)) // unless somebody else is there already
}

// up starts an owner and shows what it does until all is well.
func up(ctx context.Context, root string) error {
	if err := ready(); err != nil {
		return err
	}
	dieWithParent()
	s := stateOf(root)
	l, err := s.owner()
	if errors.Is(err, lock.ErrHeld) {
		fmt.Println("it is already up, or on its way:")
		if text, err := os.ReadFile(s.instructions()); err == nil {
			fmt.Print(string(text))
		} else {
			fmt.Println("`make down` ends it")
		}
		return nil
	}
	if err != nil {
		return err
	}
	l.Drop()
	return watchOwner(ctx, root)
}

func watchOwner(ctx context.Context, root string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	style, err := json.Marshal(report.StyleOf(os.Stdout, os.Getenv))
	if err != nil {
		return fmt.Errorf("encoding the style: %w", err)
	}
	tellReady, told, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = tellReady.Close() }()
	owner := exec.Command(self, ownerCommand)
	owner.Dir = root
	owner.Env = append(os.Environ(), styleEnv+"="+string(style))
	owner.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	owner.ExtraFiles = []*os.File{told}
	owner.Stderr = os.Stderr
	output, err := owner.StdoutPipe()
	if err == nil {
		err = owner.Start()
	}
	_ = told.Close()
	if err != nil {
		return fmt.Errorf("starting the process in the background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = owner.Process.Signal(syscall.SIGTERM) })
	defer stop()
	_, _ = io.Copy(os.Stdout, output)
	if line, _ := io.ReadAll(tellReady); string(line) == readyLine {
		return nil
	}
	_ = owner.Wait()
	return errReported // by the owner
}

// own is the life of an owner.
func own(ctx context.Context, root string) error {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // up may be killed, its terminal closed
	syscall.CloseOnExec(readyFile)
	s := stateOf(root)
	l, err := s.owner()
	if err != nil {
		return err
	}
	defer s.release(l)
	if err := l.SetContent(fmt.Append(nil, os.Getpid())); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(s.run()), os.Mkdir(s.run(), 0o700)); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	var style report.Style
	if err := json.Unmarshal([]byte(os.Getenv(styleEnv)), &style); err != nil {
		return fmt.Errorf("reading %s: %w", styleEnv, err)
	}
	d, err := newDemo(root, s.run(), os.Stdout, style)
	if err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		d.explain(err)
		return errors.Join(errReported, d.tearDown())
	}
	if err := d.stay(s); err != nil {
		return errors.Join(err, d.tearDown())
	}
	select {
	case <-ctx.Done():
	case <-d.cluster.Gone():
	}
	return d.tearDown()
}

// stay leaves the terminal and tells up that all is well.
func (d *demo) stay(s state) error {
	secrets := map[string]string{
		s.rootToken():    d.server.Token + "\n",
		s.shares():       strings.Join(d.server.Shares, "\n") + "\n",
		s.environment():  d.exports(s),
		s.instructions(): d.lookAround(s),
	}
	for path, content := range secrets {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing how to look around: %w", err)
		}
	}
	d.report.Say(d.lookAround(s))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("leaving the terminal: %w", err)
	}
	defer func() { _ = null.Close() }()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(null.Fd()), fd); err != nil {
			return fmt.Errorf("leaving the terminal: %w", err)
		}
	}
	pipe := os.NewFile(readyFile, "ready")
	defer func() { _ = pipe.Close() }()
	_, err = pipe.WriteString(readyLine)
	if errors.Is(err, syscall.EPIPE) {
		err = nil // up was killed; make down ends us
	}
	return err
}

// exports are lines for a shell.
func (d *demo) exports(s state) string {
	return fmt.Sprintf(`export VAULT_ADDR=%s
export VAULT_CACERT=%s
export VAULT_TOKEN="$(cat %s)"
export KUBECONFIG=%s
export PATH=%s:%s:$PATH
`, d.server.URL(), d.server.CAFile(), s.rootToken(), d.cluster.Kubeconfig(), filepath.Dir(d.binary), d.cluster.Bin())
}

// lookAround says what a person can do with what is running.
func (d *demo) lookAround(s state) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nIt stays up. In a shell, `. %s` does this:\n\n", s.environment())
	for line := range strings.Lines(d.exports(s)) {
		b.WriteString("  " + line)
	}
	fmt.Fprintf(&b, `
The root's token is in %[1]s and
the five shares are in %[2]s, readable by root alone. Then:

  strongkeep status
  strongkeep kv get secret/my-app/config
  head -c 16 /dev/urandom | base64 | strongkeep kv put secret/my-app/config password=-
  kubectl -n my-app get externalsecrets,secretstores,secrets,pods
  kubectl -n my-app logs --follow my-app       # a digest whenever the file changes
  kubectl -n my-app describe externalsecret other-app-secrets       # who is refused, and why
  strongkeep rotation start -n shop db -wait   # once more, while web and worker query
  strongkeep rotation status -n shop db        # the evidence for each pod
  tail -f %[3]s

logs: %[4]s and %[5]s
end it: make down
`, s.rootToken(), s.shares(), d.server.AuditFile(), d.server.LogDir, d.cluster.LogDir())
	return b.String()
}

// down ends an owner and waits until everything is gone.
func down(ctx context.Context, root string) error {
	s := stateOf(root)
	if _, err := os.Stat(string(s)); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("nothing is up")
		return nil
	}
	l, err := s.owner()
	if err == nil {
		fmt.Println("nothing is up; removing what a process that was killed has left")
		err = os.RemoveAll(s.run())
		s.release(l)
		return err
	}
	if !errors.Is(err, lock.ErrHeld) {
		return err
	}
	return end(ctx, s)
}

func end(ctx context.Context, s state) error {
	content, err := os.ReadFile(s.lock())
	if err != nil {
		return fmt.Errorf("finding the process in the background: %w", err)
	}
	var pid int
	if _, err := fmt.Sscan(string(content), &pid); err != nil || pid <= 1 {
		return fmt.Errorf("finding the process in the background: %s holds no process ID", s.lock())
	}
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGTERM); errors.Is(err, syscall.EPERM) {
		return errors.New("what is up belongs to root: run `sudo make down`")
	}
	l, err := waitGone(ctx, s)
	if err != nil && ctx.Err() == nil {
		fmt.Printf("process %d does not end and is killed, and what it started with it\n", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		l, err = waitGone(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("waiting for process %d to end: %w", pid, err)
	}
	err = os.RemoveAll(s.run())
	s.release(l)
	if err != nil {
		return fmt.Errorf("removing what is left: %w", err)
	}
	fmt.Printf("cluster and server ended, everything they wrote removed, in %s\n", report.Brief(time.Since(began)))
	return nil
}

// waitGone returns the lock of an owner that has ended.
func waitGone(ctx context.Context, s state) (*lock.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, downLimit)
	defer cancel()
	for {
		l, err := lock.Wait(ctx, s.lock(), func() {})
		if !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		// It has removed the folder as well.
		if err := os.MkdirAll(string(s), 0o700); err != nil {
			return nil, fmt.Errorf("making a directory: %w", err)
		}
	}
}
