// Package process runs programs on hosts of the harness: started, killed, stopped for a while and
// continued, and started again by themselves after an end that nobody asked for, as systemd and
// the kubelet do.
//
// Start reading at Start.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
	"github.com/strongkeep/strongkeep/test/chaos/network"
)

// Config of a Process.
type Config struct {
	Host    *network.Host
	Program string
	Args    func() []string // asked at each start
	Log     string          // a file that both outputs are added to
}

// Process is a program that is to run. All methods are for any goroutine.
type Process struct {
	cfg     Config
	watched sync.WaitGroup

	mu      sync.Mutex
	cmd     *exec.Cmd // nil = not running
	wanted  bool
	starts  int
	ended   chan struct{} // of cmd
	frozen  bool
	restart *time.Timer
}

// restartPause is after which a program runs again that ended by itself.
const restartPause = 300 * time.Millisecond

// Start runs a program.
func Start(cfg Config) (*Process, error) {
	p := &Process{cfg: cfg}
	return p, p.Run()
}

// Run has the program run, if it does not.
func (p *Process) Run() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.start()
}

// start runs the program. The caller holds mu.
func (p *Process) start() error {
	if p.cmd != nil || !p.wanted {
		return nil
	}
	log, err := os.OpenFile(p.cfg.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.cfg.Program, p.cfg.Args()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cfg.Host.Do(cmd.Start); err != nil {
		return fmt.Errorf("starting %s: %w", p.cfg.Program, err)
	}
	p.cmd, p.frozen, p.ended = cmd, false, make(chan struct{})
	p.starts++
	p.watched.Go(func() { p.watch(cmd, p.ended) })
	return nil
}

// watch starts the program again after an end that nobody asked for.
func (p *Process) watch(cmd *exec.Cmd, ended chan struct{}) {
	_ = cmd.Wait() // its log says why
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	close(ended)
	if p.wanted {
		p.restart = time.AfterFunc(restartPause, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = p.start() // on this machine nothing but its end keeps it from starting
		})
	}
}

// Starts is how often the program was started.
func (p *Process) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// Kill ends the program with SIGKILL, and it stays down until Run. It returns when it has ended.
func (p *Process) Kill() {
	p.mu.Lock()
	p.wanted = false
	if p.restart != nil {
		p.restart.Stop()
	}
	cmd, ended := p.cmd, p.ended
	if cmd != nil {
		_ = cmd.Process.Kill()
	}
	p.mu.Unlock()
	if cmd != nil {
		<-ended
	}
	p.watched.Wait()
}

// Stop asks the program to end (SIGTERM), and it stays down until Run. It does not wait.
func (p *Process) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = false
	if p.restart != nil {
		p.restart.Stop()
	}
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.cfg.Program, err)
	}
	return nil
}

// Freeze stops the program (SIGSTOP): its connections stay, and it answers nothing.
func (p *Process) Freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := freeze.Stop(p.cmd.Process.Pid); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	p.frozen = true
	return nil
}

// Thaw undoes Freeze.
func (p *Process) Thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || !p.frozen {
		return nil
	}
	p.frozen = false
	if err := freeze.Continue(p.cmd.Process.Pid); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
