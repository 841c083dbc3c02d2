package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
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
// be an operator: its way, in JSON.
const operatorVariable = "STRONGKEEP_TEST_OPERATOR"

// Powers are what operators have only where they are given it.
type Powers struct{ Drills, RehearsalPods bool }

// way is how an operator runs.
type way struct {
	Powers
	Namespace  string
	Kubeconfig string
	// Unelected: it believes itself the leader, whoever else there is.
	Unelected bool
}

func (w *World) way() way {
	return way{Powers: w.powers, Namespace: w.Namespace, Kubeconfig: w.operator}
}

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

// config is what RunOperator needs.
func (y way) config(log *slog.Logger) (operator.Config, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", y.Kubeconfig)
	return operator.Config{
		REST: rest, Namespaces: []string{y.Namespace}, OwnNamespace: y.Namespace, NoClusterStores: true,
		Drills: y.Drills, RehearsalPods: y.RehearsalPods,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", LeaderElection: !y.Unelected, Log: log,
	}, err
}

// allow gives the operator of the world's namespace what package rbac says it
// needs, and returns its kubeconfig.
func (w *World) allow() string {
	w.Helper()
	w.Kubectl("create", "serviceaccount", account)
	for _, o := range rbac.Objects(rbac.Options{
		Name: "operator-" + w.Namespace, ServiceAccount: account, Namespace: w.Namespace, Namespaces: []string{w.Namespace}, Rotation: true, Reload: true, LeaderElection: true,
		Drills: w.powers.Drills, RehearsalPods: w.powers.RehearsalPods,
	}) {
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
	cfg, err := w.way().config(slog.New(slog.NewTextHandler(w.OperatorLog, quiet)))
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
func (w *World) Spawn() *Operator { w.Helper(); return w.spawnAs(w.way()) }

// SpawnUnelected does the same with one that believes itself the leader, whoever
// else there is. It reaches the API server by kubeconfig, if one is given.
func (w *World) SpawnUnelected(kubeconfig string) *Operator {
	w.Helper()
	y := w.way()
	y.Unelected = true
	if kubeconfig != "" {
		y.Kubeconfig = kubeconfig
	}
	return w.spawnAs(y)
}

func (w *World) spawnAs(y way) *Operator {
	w.Helper()
	o, err := w.spawn(y)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(o.Stop)
	return o
}

func (w *World) spawn(y way) (*Operator, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(y)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), operatorVariable+"="+string(text))
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
	var y way
	if err := json.Unmarshal([]byte(os.Getenv(operatorVariable)), &y); err != nil {
		fmt.Fprintf(os.Stderr, "operator: %s: %v\n", operatorVariable, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := y.config(slog.New(slog.NewTextHandler(os.Stderr, quiet)))
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
	o, err := w.spawn(w.way())
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
				next, err := w.spawn(w.way())
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
