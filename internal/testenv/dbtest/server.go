package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// Server is one running database.
type Server struct {
	Kind     string // "postgres", "mariadb" or "redis"
	Address  string // of loopback, the same after a restart
	Outside  string // the same port on the host given to Open; empty without
	User     string // may do everything
	Password string // of User, when the server was made
	LogFile  string // what it wrote, every statement included
	Dir      string

	path string
	args []string
	as   *syscall.Credential
	ping func(context.Context) error

	mu   sync.Mutex // guards cmd
	cmd  *exec.Cmd
	done chan struct{}
}

// Starting is how long a database may take to start.
const starting = time.Minute

// URL is where it is, for connection_url.
func (s *Server) URL(username, password string) string {
	switch s.Kind {
	case "postgres":
		return fmt.Sprintf("postgresql://%s:%s@%s/postgres?sslmode=disable", username, password, s.Address)
	case "mariadb":
		return fmt.Sprintf("%s:%s@tcp(%s)/", username, password, s.Address)
	}
	return fmt.Sprintf("redis://%s:%s@%s", username, password, s.Address)
}

// Log is everything the server has logged.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(s.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Kill ends the server as a power cut would. Start brings it back.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd != nil {
		end(cmd, done)
	}
}

// end kills a server and the processes it made, which may be in other groups.
func end(cmd *exec.Cmd, done <-chan struct{}) {
	pids := append(children(cmd.Process.Pid), cmd.Process.Pid)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-done
	for _, pid := range pids { // orphans hold on to memory that the next server wants
		for syscall.Kill(pid, 0) == nil && !zombie(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

// children returns the processes that pid has made.
func children(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var found []int
	for _, path := range stats {
		if f := stat(path); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// zombie reports whether a process has ended and is only not yet waited for.
func zombie(pid int) bool {
	f := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return len(f) > 0 && f[0] == "Z"
}

// stat returns the fields of /proc/pid/stat behind the name: state, parent, ...
func stat(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(content), ") ")
	return strings.Fields(rest)
}

// Start runs the server again after Kill, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Pause has the server hang: it accepts connections, and never answers.
func (s *Server) Pause(t testing.TB) { t.Helper(); s.each(t, freeze.Stop) }

// Resume ends Pause.
func (s *Server) Resume(t testing.TB) { t.Helper(); s.each(t, freeze.Continue) }

// each calls do with the server's process and its children.
func (s *Server) each(t testing.TB, do func(pid int) error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		t.Fatal("the server does not run")
	}
	for _, pid := range append(children(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		if err := do(pid); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.path, s.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = s.Dir, log, log, ownTemp(s.Dir)
	cmd.SysProcAttr = attributes(s.as)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.path, err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	s.cmd, s.done = cmd, done
	ctx, cancel := context.WithTimeout(context.Background(), starting)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-done:
			s.cmd = nil
			return fmt.Errorf("%s ended at once; end of its log:\n%s", s.Kind, tail(s.LogFile))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w; end of its log:\n%s", s.Kind, err, tail(s.LogFile))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-2000):])
}

// fleet is the databases of this test binary.
type fleet struct {
	mu      sync.Mutex
	dir     string
	servers map[string]*Server
	failed  map[string]error
}

// all belongs to Main; a test binary is one program with one fleet.
var all = fleet{servers: map[string]*Server{}, failed: map[string]error{}}

// Main runs a package's tests and ends the databases they used.
func Main(m *testing.M) int {
	defer all.close()
	return m.Run()
}

func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.servers {
		s.mu.Lock()
		if s.cmd != nil {
			end(s.cmd, s.done)
		}
		s.mu.Unlock()
	}
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
	f.dir, f.servers, f.failed = "", map[string]*Server{}, map[string]error{}
}

// missing says that a database is not installed.
type missing struct{ pkg string }

func (m missing) Error() string {
	return fmt.Sprintf("the Debian package %s is not installed, and this is not root who could install it", m.pkg)
}

// get returns the running server of a kind, or ends or skips the test.
func (f *fleet) get(t testing.TB, kind string, make func(dir string) (*Server, error)) *Server {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.servers[kind]; s != nil {
		if err := s.start(); err != nil { // a test may have left it dead
			t.Fatal(err)
		}
		return s
	}
	if f.failed[kind] == nil {
		s, err := f.make(kind, make)
		if err == nil {
			f.servers[kind] = s
			return s
		}
		f.failed[kind] = err
	}
	err := f.failed[kind]
	if errors.As(err, new(missing)) {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Fatal(err)
	return nil
}

const prefix = "strongkeep-dbtest-"

func (f *fleet) make(kind string, make func(dir string) (*Server, error)) (*Server, error) {
	if f.dir == "" {
		sweep()
		f.dir = filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(f.dir, 0o755); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(f.dir, kind)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := make(dir)
	if err != nil {
		return nil, err
	}
	s.Kind, _, _ = strings.Cut(kind, "@")
	s.Dir, s.LogFile = dir, filepath.Join(dir, "log")
	return s, s.start()
}

// sweep removes what test binaries that were killed have left.
func sweep() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
}

// program finds a program of a Debian package, which root installs.
func program(pkg string, patterns ...string) (string, error) {
	find := func() string {
		for _, p := range patterns {
			if found, _ := filepath.Glob(p); len(found) > 0 {
				return found[len(found)-1]
			}
		}
		return ""
	}
	if path := find(); path != "" {
		return path, nil
	}
	if os.Getuid() != 0 {
		return "", missing{pkg}
	}
	cmd := exec.Command("apt-get", "install", "-y", "--no-install-recommends", pkg)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing %s (try apt-get update): %w\n%s", pkg, err, out)
	}
	if path := find(); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("%s is installed and has none of %s", pkg, strings.Join(patterns, ", "))
}

// unprivileged is who runs servers that refuse root; nil if we are not root.
func unprivileged(dir string, names ...string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
	}
	return nil, errors.New("there is no user nobody to run a database as")
}

// ownTemp has a program make its temporary files in dir: a MariaDB that starts
// removes those of any other that has the same folder for them.
func ownTemp(dir string) []string { return append(os.Environ(), "TMPDIR="+dir) }

// run runs a program to its end.
func run(dir string, as *syscall.Credential, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, attributes(as), ownTemp(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", path, err, out)
	}
	return nil
}

// place gives the server addresses, and returns their port.
func (s *Server) place(host string) (string, error) {
	hosts := []string{port.Host()}
	if host != "" {
		hosts = append(hosts, host)
	}
	p, err := port.Free(hosts...)
	if err != nil {
		return "", err
	}
	text := strconv.Itoa(p)
	s.Address = net.JoinHostPort(port.Host(), text)
	if host != "" {
		s.Outside = net.JoinHostPort(host, text)
	}
	return text, nil
}
