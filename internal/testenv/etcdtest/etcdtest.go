package etcdtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/test/cluster/build"
	"github.com/strongkeep/strongkeep/test/cluster/pki"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// Options of a Server. The zero Options are those of Shared: without TLS, with
// the limits that the vault needs.
type Options struct {
	TLS   bool     // clients need a certificate
	Flags []string // more flags of etcd, which override ours
}

// Server is a running etcd of one member.
type Server struct {
	Endpoint string
	CAFile   string // of TLS
	Client   pki.Pair
	Program  build.Programs // etcd and etcdctl

	dir   string
	args  []string
	owner *exec.Cmd // the shell
	life  io.WriteCloser
	pid   int
}

// Start runs an etcd of the test's own, until its end.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.life.Close()
		_ = s.owner.Wait() // ended by the signal it gave etcd, or not
	})
	return s
}

var shared = sync.OnceValues(func() (*Server, error) { return start(Options{}) })

// Shared returns the etcd of this test binary. It ends with the process.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var prefixes atomic.Int64

// Prefix returns a key prefix that no other test uses.
func Prefix() string { return fmt.Sprintf("test-%d/", prefixes.Add(1)) }

// Config returns how to open a store in s, below a prefix of its own.
func (s *Server) Config() etcd.Config {
	return etcd.Config{
		Endpoints: []string{s.Endpoint}, Prefix: Prefix(),
		CAFile: s.CAFile, CertFile: s.Client.Cert, KeyFile: s.Client.Key,
	}
}

func start(o Options) (*Server, error) {
	programs, err := build.Ensure(context.Background(), build.Etcd, os.Stderr)
	if err != nil {
		return nil, fmt.Errorf("building etcd: %w", err)
	}
	dir, err := os.MkdirTemp("", "strongkeep-etcd-")
	if err != nil {
		return nil, err
	}
	s := &Server{Program: programs, dir: dir}
	if err := s.prepare(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.Run()
}

// prepare chooses ports and makes the flags.
func (s *Server) prepare(o Options) error {
	client, err := address()
	if err != nil {
		return err
	}
	peer, err := address()
	if err != nil {
		return err
	}
	s.Endpoint, peer = "http://"+client, "http://"+peer
	s.args = []string{
		"--name=test", "--data-dir=" + filepath.Join(s.dir, "data"), "--log-level=warn",
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=test=" + peer,
		"--max-txn-ops=1024",
	}
	if o.TLS {
		s.Endpoint = "https://" + client
		if err := s.secure(); err != nil {
			return err
		}
	}
	s.args = append(s.args, "--listen-client-urls="+s.Endpoint, "--advertise-client-urls="+s.Endpoint)
	s.args = append(s.args, o.Flags...)
	return nil
}

func address() (string, error) {
	p, err := port.Free(port.Host())
	return net.JoinHostPort(port.Host(), strconv.Itoa(p)), err
}

// secure makes certificates.
func (s *Server) secure() error {
	ca, err := pki.New(s.dir, time.Now())
	if err != nil {
		return err
	}
	serving, err := ca.Issue(pki.Request{Name: "server", CommonName: "etcd", Hosts: []string{port.Host()}})
	if err != nil {
		return err
	}
	if s.Client, err = ca.Issue(pki.Request{Name: "client", CommonName: "strongkeep"}); err != nil {
		return err
	}
	s.CAFile = ca.Cert
	s.args = append(s.args, "--cert-file="+serving.Cert, "--key-file="+serving.Key, "--trusted-ca-file="+ca.Cert, "--client-cert-auth")
	return nil
}

// minder runs etcd until its standard input ends, or says to keep the files.
const minder = `dir=$1; shift
"$@" >>"$dir/etcd.log" 2>&1 </dev/null &
pid=$!
echo $pid
read -r word
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ "$word" = keep ] || rm -rf "$dir"`

// Run starts etcd, again after Kill on the files it left, and waits until it answers.
func (s *Server) Run() error {
	s.owner = exec.Command("/bin/sh", append([]string{"-c", minder, "etcd-minder", s.dir, s.Program["etcd"]}, s.args...)...)
	s.owner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is not for it
	var err error
	if s.life, err = s.owner.StdinPipe(); err != nil {
		return err
	}
	out, err := s.owner.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.owner.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	if s.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		return err
	}
	return s.await()
}

func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := s.client()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for {
		err := ask(ctx, c)
		var answer rpctypes.EtcdError // asking for a password is an answer
		if err == nil || errors.As(rpctypes.Error(err), &answer) && answer.Code() != codes.Unavailable {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for etcd: %w; its log ends:\n%s", err, process.Tail(filepath.Join(s.dir, "etcd.log")))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := c.Get(ctx, "ready")
	return err
}

func (s *Server) client() (*clientv3.Client, error) {
	cfg := clientv3.Config{Endpoints: []string{s.Endpoint}, Logger: zap.NewNop()}
	if s.CAFile != "" {
		info := transport.TLSInfo{CertFile: s.Client.Cert, KeyFile: s.Client.Key, TrustedCAFile: s.CAFile}
		var err error
		if cfg.TLS, err = info.ClientConfig(); err != nil {
			return nil, err
		}
	}
	return clientv3.New(cfg)
}

// Kill ends etcd as a crash would. Only a server of Start may be killed.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
		t.Fatal("killing etcd:", err)
	}
	_, _ = io.WriteString(s.life, "keep\n")
	_ = s.owner.Wait()
}

// Restart runs etcd after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
}

// Copy keeps what a server that was killed has stored; Revert makes it what it has.
func (s *Server) Copy(t testing.TB) (kept string) {
	t.Helper()
	kept = filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(kept, os.DirFS(filepath.Join(s.dir, "data"))); err != nil {
		t.Fatal(err)
	}
	return kept
}

// Revert has a server that was killed go back to what Copy kept.
func (s *Server) Revert(t testing.TB, kept string) {
	t.Helper()
	data := filepath.Join(s.dir, "data")
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(kept)), os.Chmod(data, 0o700)); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops etcd without closing its connections; Thaw has it go on.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	if err := freeze.Stop(s.pid); err != nil {
		t.Fatal(err)
	}
}

// Thaw undoes Freeze.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	if err := freeze.Continue(s.pid); err != nil {
		t.Fatal(err)
	}
}

// Dial returns a client of the test's own, for what others do to etcd.
func (s *Server) Dial(t testing.TB) *clientv3.Client {
	t.Helper()
	c, err := s.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Dump returns all that is in etcd.
func (s *Server) Dump(t testing.TB) map[string]string {
	t.Helper()
	r, err := s.Dial(t).Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil || len(r.Kvs) == 0 {
		t.Fatal("reading all of etcd: ", r, err)
	}
	all := map[string]string{}
	for _, kv := range r.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}
