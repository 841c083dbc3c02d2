package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
)

// operatorVariable says, in the environment of this test binary, that it is to
// be an operator: NAMESPACE,KUBECONFIG.
const operatorVariable = "STRONGKEEP_TEST_OPERATOR"

// quiet leaves out what client-go has to say of itself.
var quiet = &slog.HandlerOptions{Level: slog.LevelInfo}

// account is the ServiceAccount of operators.
const account = "operator"

// Operator is one that runs, in this process or in its own.
type Operator struct {
	t     testing.TB
	end   func()
	cmd   *exec.Cmd
	Ended <-chan struct{}
}

// Stop lets it end in good order. It may be called again.
func (o *Operator) Stop() { o.end() }

// Kill ends a process as a crash would.
func (o *Operator) Kill() {
	o.t.Helper()
	if o.cmd == nil {
		o.t.Fatal("only a process can be killed")
	}
	_ = o.cmd.Process.Kill()
	<-o.Ended
}

// Pid of a process.
func (o *Operator) Pid() int { return o.cmd.Process.Pid }

// config is that of the operators of a namespace. They are elected.
func operatorConfig(namespace, kubeconfig string, log *slog.Logger) (operator.Config, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	return operator.Config{
		REST: rest, Namespaces: []string{namespace}, OwnNamespace: namespace, NoClusterStores: true,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", LeaderElection: true, Log: log,
	}, err
}

// allow gives the operator of the world's namespace what package rbac says it
// needs, and returns its kubeconfig.
func (w *World) allow() string {
	w.Helper()
	w.Kubectl("create", "serviceaccount", account)
	for _, o := range rbac.Objects(rbac.Options{Name: "operator-" + w.Namespace, ServiceAccount: account, Namespace: w.Namespace, Namespaces: []string{w.Namespace}, Rotation: true, Reload: true, LeaderElection: true}) {
		w.create(o)
	}
	path, err := w.site.ServiceAccountKubeconfig(w.Context(), w.Namespace, account)
	if err != nil {
		w.Fatal(err)
	}
	return path
}

// Start runs an operator in this process until the test ends or it is stopped,
// and returns once it serves; it may not be elected yet.
func (w *World) Start() *Operator {
	w.Helper()
	cfg, err := operatorConfig(w.Namespace, w.operator, slog.New(slog.NewTextHandler(w.OperatorLog, quiet)))
	if err != nil {
		w.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	cfg.Started = func(operator.Addresses) { close(started) }
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	go func() {
		defer close(ended)
		err = app.RunOperator(ctx, cfg)
	}()
	select {
	case <-started:
	case <-ended:
		cancel()
		w.Fatalf("the operator ended: %v", err)
	}
	o := &Operator{t: w.TB, Ended: ended}
	o.end = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err != nil {
			w.Errorf("the operator ended: %v", err)
		}
	})
	w.Cleanup(o.Stop)
	return o
}

// Spawn runs an operator in a process of its own, which can be killed or frozen,
// until the test ends.
func (w *World) Spawn() *Operator {
	w.Helper()
	o, err := w.spawn()
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(o.Stop)
	return o
}

func (w *World) spawn() (*Operator, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), operatorVariable+"="+w.Namespace+","+w.operator)
	cmd.Stdout, cmd.Stderr = w.OperatorLog, w.OperatorLog
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	o := &Operator{t: w.TB, Ended: ended, cmd: cmd}
	o.end = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT) // it may be frozen
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	return o, nil
}

// operatorMain is the life of such a process.
func operatorMain() int {
	namespace, kubeconfig, _ := strings.Cut(os.Getenv(operatorVariable), ",")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := operatorConfig(namespace, kubeconfig, slog.New(slog.NewTextHandler(os.Stderr, quiet)))
	if err == nil {
		err = app.RunOperator(ctx, cfg)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "operator:", err)
		return 1
	}
	return 0
}

// Supervise runs an operator in a process, and another when it ends, as a
// Deployment would.
func (w *World) Supervise() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	gone := make(chan struct{})
	o, err := w.spawn()
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	go func() {
		defer close(gone)
		for {
			select {
			case <-o.Ended:
				pause(ctx, time.Second)
				if ctx.Err() != nil {
					return
				}
				next, err := w.spawn()
				if err != nil {
					w.Error(err)
					return
				}
				o = next
			case <-ctx.Done():
				o.Stop()
				return
			}
		}
	}()
	w.Cleanup(func() { cancel(); <-gone })
}

// FreezeAPIServer has the API server hang for a time.
func (w *World) FreezeAPIServer(d time.Duration) {
	w.Helper()
	pid := w.site.APIServerPID()
	if err := freeze.Stop(pid); err != nil {
		w.Fatal(err)
	}
	pause(w.Context(), d)
	if err := freeze.Continue(pid); err != nil {
		w.Fatal(err)
	}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
