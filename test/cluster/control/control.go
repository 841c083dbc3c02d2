package control

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/pki"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

const (
	// readyTimeout is generous: the machine may be compiling Kubernetes.
	readyTimeout = 3 * time.Minute
	// stopGrace is what the API server and etcd get to flush their files. The
	// API server would use a minute of it for clients that still watch.
	stopGrace = time.Second
)

// Config describes a control plane.
type Config struct {
	Programs map[string]string // paths by name
	Dir      string            // exists and is private; certificates and data go there
	LogDir   string
	Address  netip.Addr // of the API server
	Port     int        // of the API server
	EtcdPort int        // on loopback
	PeerPort int        // on loopback
	Services netip.Prefix
	Flags    []string // more of the API server; they override ours
	Progress func(format string, args ...any)

	ControllerFlags []string // more of kube-controller-manager; they override ours
}

// Plane is a running control plane.
type Plane struct {
	*Client
	Authority  *pki.Authority
	Kubeconfig string // of a member of system:masters
	EtcdURL    string
	EtcdClient pki.Pair

	config     Config
	etcdHealth *Client
	etcd       *process.Process
	api        *process.Process
	apiArgs    []string
	controller *process.Process
	scheduler  *process.Process
}

// Start returns once pods can be created, that is once the default
// ServiceAccount exists. On error nothing is left running.
func Start(ctx context.Context, c Config) (*Plane, error) {
	p := &Plane{config: c, EtcdURL: "https://127.0.0.1:" + strconv.Itoa(c.EtcdPort)}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, fmt.Errorf("starting control plane: %w", err)
	}
	return p, nil
}

// Processes are those of the plane, for whoever watches over them.
func (p *Plane) Processes() []*process.Process {
	var running []*process.Process
	for _, proc := range []*process.Process{p.scheduler, p.controller, p.api, p.etcd} {
		if proc != nil {
			running = append(running, proc)
		}
	}
	return running
}

// APIServerArgs are the arguments that the API server was started with.
func (p *Plane) APIServerArgs() []string { return p.apiArgs }

// APIServer is the process of the API server.
func (p *Plane) APIServer() *process.Process { return p.api }

// Stop ends everything from the top down: an API server whose etcd is gone
// would linger.
func (p *Plane) Stop() {
	for _, proc := range p.Processes() {
		grace := stopGrace
		if proc == p.scheduler || proc == p.controller {
			grace = 0 // they keep nothing
		}
		proc.Stop(grace)
	}
}

func (p *Plane) start(ctx context.Context) error {
	begin := time.Now()
	since := func() time.Duration { return time.Since(begin).Round(10 * time.Millisecond) }
	serving, err := p.issue()
	if err != nil {
		return err
	}
	if p.etcd, err = p.run("etcd", p.etcdFlags(serving)); err != nil {
		return err
	}
	if err := p.etcd.Await(ctx, p.etcdReady); err != nil {
		return err
	}
	p.apiArgs = append(p.apiFlags(serving), p.config.Flags...)
	if p.api, err = p.run("kube-apiserver", p.apiArgs); err != nil {
		return err
	}
	if err := p.api.Await(ctx, p.apiReady); err != nil {
		return err
	}
	p.config.Progress("API server ready in %v", since())
	if p.controller, err = p.run("kube-controller-manager", append(p.controllerFlags(), p.config.ControllerFlags...)); err != nil {
		return err
	}
	if p.scheduler, err = p.run("kube-scheduler", p.schedulerFlags()); err != nil {
		return err
	}
	if err := p.controller.Await(ctx, p.accountExists); err != nil {
		return err
	}
	p.config.Progress("control plane ready in %v", since())
	return nil
}

func (p *Plane) run(name string, flags []string) (*process.Process, error) {
	return process.Start(process.Config{
		Name:   name,
		Path:   p.config.Programs[name],
		Args:   flags,
		LogDir: p.config.LogDir,
	})
}

func (p *Plane) etcdReady(ctx context.Context) error {
	// That it listens is not enough: an API server that comes too early waits
	// for a second before it tries again.
	if err := p.etcdHealth.Get(ctx, "/health", nil); err != nil {
		return fmt.Errorf("waiting for etcd: %w", err)
	}
	return nil
}

func (p *Plane) apiReady(ctx context.Context) error {
	if err := p.Get(ctx, "/readyz", nil); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	return nil
}

func (p *Plane) accountExists(ctx context.Context) error {
	if err := p.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil); err != nil {
		return fmt.Errorf("waiting for the default ServiceAccount: %w", err)
	}
	return nil
}

// path is a file of the control plane.
func (p *Plane) path(name string) string { return filepath.Join(p.config.Dir, name) }
