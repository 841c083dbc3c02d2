package minder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/control"
	"github.com/strongkeep/strongkeep/test/cluster/node"
	"github.com/strongkeep/strongkeep/test/cluster/pki"
	"github.com/strongkeep/strongkeep/test/cluster/process"
	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

// Command is the argument by which our program becomes a minder.
const Command = "minder"

// Spec says what to run.
type Spec struct {
	Programs map[string]string // paths by name
	Node     bool
	Dir      string   // for state; empty: a temporary one, removed at the end
	KeepLogs bool     // but not the logs in it
	APIFlags []string // more flags of the API server

	ControllerFlags []string // more flags of kube-controller-manager
}

// Event is what happened: exactly one field is set.
type Event struct {
	Progress string
	Ready    *Cluster
	Error    string // the cluster did not start, or was not removed cleanly
}

// Cluster is where things are in a cluster that is ready.
type Cluster struct {
	Dir        string
	URL        string
	Kubeconfig string
	CAFile     string
	EtcdURL    string
	EtcdClient pki.Pair
	NodeName   string     // empty without a node
	NodePID    int        // first process of the node
	HostIP     netip.Addr // where pods reach the host; loopback without a node
	APIPID     int        // process of the API server
	APIArgs    []string   // that it was started with
}

// LogDir is where the logs of a cluster with state in dir are.
func LogDir(dir string) string { return filepath.Join(dir, "log") }

// Run is a minder's life. It reads from r, reports to w and returns when the
// cluster is gone.
func Run(r io.Reader, w io.Writer) {
	m := &minder{events: json.NewEncoder(w)}
	// A dead owner must not end us by a signal when we write to it.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d := json.NewDecoder(r)
	if err := d.Decode(&m.spec); err != nil {
		m.fail(fmt.Errorf("reading what to run: %w", err))
		return
	}
	ctx, ownerGone := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		ownerGone()
	}()
	m.sweep()
	if err := m.up(ctx); err != nil {
		m.fail(err)
	} else {
		m.watch(ctx)
	}
	if err := m.down(); err != nil {
		m.fail(fmt.Errorf("removing cluster: %w", err))
	}
}

type minder struct {
	spec  Spec
	slot  *slot.Slot
	state *state
	node  *node.Node
	plane *control.Plane

	mu     sync.Mutex // guards events
	events *json.Encoder
}

func (m *minder) up(ctx context.Context) error {
	begin := time.Now()
	if err := m.claim(); err != nil {
		return err
	}
	address := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if m.spec.Node {
		address = m.slot.HostIP()
		if err := m.startNode(); err != nil {
			return err
		}
	}
	var err error
	m.plane, err = control.Start(ctx, control.Config{
		Programs: m.spec.Programs,
		Dir:      m.state.path("control"),
		LogDir:   LogDir(m.state.dir),
		Address:  address,
		Port:     m.slot.APIPort(),
		EtcdPort: m.slot.EtcdPort(),
		PeerPort: m.slot.EtcdPeerPort(),
		Services: m.slot.Services(),
		Flags:    m.spec.APIFlags,

		ControllerFlags: m.spec.ControllerFlags,

		Progress: m.progress,
	})
	if err != nil {
		return err
	}
	c := &Cluster{
		Dir: m.state.dir, URL: m.plane.URL, Kubeconfig: m.plane.Kubeconfig, CAFile: m.plane.Authority.Cert,
		EtcdURL: m.plane.EtcdURL, EtcdClient: m.plane.EtcdClient, HostIP: address,
		APIPID: m.plane.APIServer().PID(), APIArgs: m.plane.APIServerArgs(),
	}
	if m.spec.Node {
		if err := m.node.Join(ctx, m.plane, m.slot.Services()); err != nil {
			return err
		}
		m.progress("node ready in %v", time.Since(begin).Round(10*time.Millisecond))
		c.NodeName, c.NodePID = node.Name, m.node.Process().PID()
	}
	m.send(Event{Ready: c})
	return nil
}

// claim takes a number and a directory, and leaves a note of both for the case
// that we are killed.
func (m *minder) claim() error {
	var err error
	if m.slot, err = slot.Take(); err != nil {
		return err
	}
	if m.state, err = openState(m.spec.Dir); err != nil {
		return err
	}
	return m.slot.Record(slot.State{Dir: m.state.dir, Temp: m.state.temp})
}

func (m *minder) startNode() error {
	var err error
	m.node, err = node.Start(node.Spec{
		Programs: m.spec.Programs,
		State:    m.state.dir,
		Dir:      m.state.path("node"),
		LogDir:   LogDir(m.state.dir),
		Number:   m.slot.Number,
	})
	return err
}

// watch returns when the cluster is to end, and says so when a part of it ends
// before.
func (m *minder) watch(ctx context.Context) {
	running := m.plane.Processes()
	if m.node != nil {
		running = append(running, m.node.Process())
	}
	for _, p := range running {
		go func(p *process.Process) {
			select {
			case <-ctx.Done():
			case <-p.Done():
				if ctx.Err() == nil {
					m.progress("%v", p.Explain(errors.New("the cluster is broken")))
				}
			}
		}(p)
	}
	<-ctx.Done()
}

// down removes the cluster as far as it exists.
func (m *minder) down() error {
	var errs []error
	if m.node != nil {
		errs = append(errs, m.node.Stop())
	}
	if m.plane != nil {
		m.plane.Stop()
	}
	if m.state != nil {
		errs = append(errs, m.state.close(m.spec.KeepLogs))
	}
	if m.slot != nil {
		m.slot.Release()
	}
	return errors.Join(errs...)
}

func (m *minder) progress(format string, args ...any) {
	m.send(Event{Progress: fmt.Sprintf(format, args...)})
}

func (m *minder) fail(err error) { m.send(Event{Error: err.Error()}) }

// send is for all goroutines. An owner that is gone hears nothing.
func (m *minder) send(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.events.Encode(e)
}
