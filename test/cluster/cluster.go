package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/build"
	"github.com/strongkeep/strongkeep/test/cluster/minder"
)

// stopTimeout bounds how long Stop waits before it kills the minder, which then
// leaves its files to the next Start.
const stopTimeout = 30 * time.Second

// Config describes a cluster. Its zero value is a control plane without node.
type Config struct {
	// Node adds a node, which needs Linux and root.
	Node bool
	// Dir is for the cluster's state: absent, empty, or that of an earlier
	// cluster, which is removed. It stays when the cluster stops. Empty: a
	// temporary directory, removed when the cluster stops.
	Dir string
	// APIServerFlags are added to those of kube-apiserver and override them:
	// "--audit-policy-file=/path".
	APIServerFlags []string
	// ControllerFlags are added to those of kube-controller-manager and override them.
	ControllerFlags []string
	// Log hears about the build, progress and parts that end early. It may be
	// called until Stop returns. Nil: nobody hears.
	Log io.Writer
	// KeepLogs leaves the logs of all parts in a temporary Dir.
	KeepLogs bool
}

// Cluster is a running cluster. Its methods are safe for concurrent use.
type Cluster struct {
	at       minder.Cluster
	programs build.Programs
	log      *logger

	minder *exec.Cmd
	stderr bytes.Buffer // of the minder; read once gone is closed
	pipe   io.Closer    // closing it ends the minder
	ready  chan minder.Cluster
	gone   chan struct{} // closed when the minder has ended
	errs   []error       // what the minder complained of; read once gone is closed
	stop   func() error
}

// Etcd says how to read the cluster's etcd directly.
type Etcd struct {
	Endpoint string // https URL
	CAFile   string
	CertFile string
	KeyFile  string
}

// Start builds what is not in the cache, which takes minutes the first time, and
// returns when the cluster is ready: the default ServiceAccount exists and, with
// a node, pods run and reach the API server. On error nothing is left behind.
// The cluster outlives ctx.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	c, err := start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("starting cluster: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, config Config) (*Cluster, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("it needs Linux; use a virtual machine")
	}
	if config.Node && os.Getuid() != 0 {
		return nil, errors.New("a node needs root; run as root, or without node (Config.Node, --no-node)")
	}
	programs, err := ensure(ctx, config)
	if err != nil {
		return nil, err
	}
	dir := config.Dir
	if dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, fmt.Errorf("finding state directory: %w", err)
		}
	}
	c := &Cluster{
		programs: programs,
		log:      &logger{w: config.Log},
		ready:    make(chan minder.Cluster, 1),
		gone:     make(chan struct{}),
	}
	c.stop = sync.OnceValue(c.end)
	err = c.launch(minder.Spec{
		Programs: programs,
		Node:     config.Node,
		Dir:      dir,
		KeepLogs: config.KeepLogs,
		APIFlags: config.APIServerFlags,

		ControllerFlags: config.ControllerFlags,
	})
	if err != nil {
		return nil, err
	}
	select {
	case c.at = <-c.ready:
		return c, nil
	case <-c.gone: // it has removed what it had started
		return nil, errors.Join(c.errs...)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), c.stop())
	}
}

// ensure builds programs of Kubernetes and of our own.
func ensure(ctx context.Context, config Config) (build.Programs, error) {
	scope := build.ControlPlane
	if config.Node {
		scope = build.Node
	}
	log := config.Log
	if log == nil {
		log = io.Discard
	}
	programs, err := build.Ensure(ctx, scope, log)
	if err != nil {
		return nil, err
	}
	helpers, err := build.Helpers(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(programs, helpers)
	return programs, nil
}

// launch starts the minder and the goroutine that listens to it. The minder is
// a session of its own, so that an interrupt from the terminal reaches only us.
func (c *Cluster) launch(spec minder.Spec) error {
	cmd := exec.Command(c.programs["cluster"], minder.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = &c.stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making pipe: %w", err)
	}
	events, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("making pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting minder: %w", err)
	}
	c.minder, c.pipe = cmd, pipe
	go c.listen(events)
	if err := json.NewEncoder(pipe).Encode(spec); err != nil {
		return errors.Join(fmt.Errorf("telling the minder: %w", err), c.stop())
	}
	return nil
}

// listen hears the minder until it ends.
func (c *Cluster) listen(events io.Reader) {
	defer close(c.gone)
	d := json.NewDecoder(events)
	for {
		var e minder.Event
		if err := d.Decode(&e); err != nil {
			break
		}
		switch {
		case e.Ready != nil:
			c.ready <- *e.Ready
		case e.Error != "":
			c.errs = append(c.errs, errors.New(e.Error))
		default:
			c.log.say(e.Progress)
		}
	}
	if err := c.minder.Wait(); err != nil {
		c.errs = append(c.errs, fmt.Errorf("minding the cluster: %w\n%s", err, c.stderr.String()))
		c.log.say("the minder of the cluster has ended: " + err.Error())
	}
}

// Stop ends every process of the cluster and removes what it made. It may be
// called again.
func (c *Cluster) Stop() error {
	if err := c.stop(); err != nil {
		return fmt.Errorf("stopping cluster: %w", err)
	}
	return nil
}

func (c *Cluster) end() error {
	_ = c.pipe.Close()
	select {
	case <-c.gone:
	case <-time.After(stopTimeout):
		_ = c.minder.Process.Kill() // and the kernel kills the rest
		<-c.gone
	}
	return errors.Join(c.errs...)
}

// Gone is closed when the cluster has ended, by Stop or otherwise.
func (c *Cluster) Gone() <-chan struct{} { return c.gone }

// URL is where the API server serves.
func (c *Cluster) URL() string { return c.at.URL }

// APIServerPID is the process of the API server, for tests in which it hangs: a
// stopped process keeps its connections and answers nothing.
func (c *Cluster) APIServerPID() int { return c.at.APIPID }

// CAFile is the certificate, in PEM, of the authority of the API server, etcd
// and the kubelet.
func (c *Cluster) CAFile() string { return c.at.CAFile }

// Kubeconfig is the path of a kubeconfig with all permissions.
func (c *Cluster) Kubeconfig() string { return c.at.Kubeconfig }

// LogDir holds the log of every part, NAME.log, and those of pods in pods.
func (c *Cluster) LogDir() string { return minder.LogDir(c.at.Dir) }

// Bin is a directory with kubectl in it.
func (c *Cluster) Bin() string { return filepath.Dir(c.programs["kubectl"]) }

// Etcd is the cluster's etcd; a client needs a certificate.
func (c *Cluster) Etcd() Etcd {
	return Etcd{
		Endpoint: c.at.EtcdURL,
		CAFile:   c.at.CAFile,
		CertFile: c.at.EtcdClient.Cert,
		KeyFile:  c.at.EtcdClient.Key,
	}
}

// logger writes lines to a writer that may be nil.
type logger struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *logger) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w != nil {
		_, _ = fmt.Fprintln(l.w, line)
	}
}
