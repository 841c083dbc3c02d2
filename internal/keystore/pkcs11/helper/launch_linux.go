package helper

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// lastWords is how long what a child has said before its end may take to be read.
const lastWords = time.Second

// spawn starts the program and has it greet.
func (s *Supervisor) spawn(ctx context.Context, program string) (*child, error) {
	if err := withhold(); err != nil {
		return nil, err
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program) //nolint:noctx // it lives longer than the call that starts it
	cmd.Dir = "/"
	cmd.Env = append([]string{}, s.cfg.Environment...) // nil would be ours
	cmd.ExtraFiles = []*os.File{theirs}
	// A group of its own: Ctrl-C is for us, who end it when our calls have ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	c := newChild(0, ours, hungAfter*s.cfg.Timeout, nil)
	s.owned.Go(func() {
		// The signal comes when the thread that started it ends, and not the process: so
		// this one stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = theirs.Close()
		if err != nil {
			_ = ours.Close()
			started <- errs.Newf(errs.Unavailable, "starting %s: %w", program, err)
			return
		}
		c.pid, c.kill = cmd.Process.Pid, func() { _ = cmd.Process.Kill() }
		started <- nil
		_ = cmd.Wait()
		last := time.NewTimer(lastWords) // a process of the module's may hold the socket's other end
		defer last.Stop()
		select {
		case <-c.done:
		case <-last.C:
			c.end(errs.New(errs.Unavailable, crashed))
			<-c.done
		}
	})
	if err := <-started; err != nil {
		return nil, err
	}
	if err := c.greet(ctx); err != nil {
		c.end(err)
		close(c.done) // nobody reads
		return nil, err
	}
	s.owned.Go(c.read)
	return c, nil
}

// withhold keeps what this process was given open by its own parent from its children.
// What Go opens is never theirs.
func withhold() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at open files: %w", err)
	}
	for _, f := range open {
		if n, err := strconv.Atoi(f.Name()); err == nil && n > 2 {
			unix.CloseOnExec(n)
		}
	}
	return nil
}

// pair makes the two ends of a socket.
func pair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, errs.Newf(errs.Unavailable, "making a socket pair: %w", err)
	}
	mine, theirs := os.NewFile(uintptr(fds[0]), "pkcs11"), os.NewFile(uintptr(fds[1]), "strongkeep-pkcs11")
	conn, err := net.FileConn(mine)
	_ = mine.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, errs.Newf(errs.Unavailable, "making a socket pair: %w", err)
	}
	return conn, theirs, nil
}
