package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/disk"
	"github.com/strongkeep/strongkeep/test/chaos/network"
	"github.com/strongkeep/strongkeep/test/chaos/process"
	"github.com/strongkeep/strongkeep/test/chaos/schedule"
	"github.com/strongkeep/strongkeep/test/chaos/target"
	"github.com/strongkeep/strongkeep/test/cluster/pki"
)

// Programs are what runs in a world.
type Programs struct {
	Etcd string
	Node string // test/chaos/cmd/node
}

// World is running. Its methods are for one goroutine, those of its machines for any.
type World struct {
	Nodes   []*Machine
	Members [schedule.Members]*Machine // none where they are not programs of their own
	KMS     *Machine
	Clients *network.Host
	Target  *target.Target // what leases stand for; its network never fails
	Root    string         // a root token
	CAFile  string
	Dir     string // where the logs are

	// Seal has an operator seal a node and notes what became of it. Set before faults begin.
	Seal func(ctx context.Context, node int)

	acting   sync.Mutex // also while programs end and start: a disk forgets when nothing uses it (see again)
	kind     schedule.World
	net      *network.Net
	programs Programs
	ca       *pki.Authority
}

// Machine is a host with a disk and a program.
type Machine struct {
	Name    string
	Host    *network.Host
	Disk    *disk.Disk
	Process *process.Process
	Log     string

	skew atomic.Int64 // nanoseconds, from the next start on
	dir  string       // where its disk is mounted
}

// URL of a node's API.
func (m *Machine) URL() string { return "https://" + m.Host.Addr.String() + ":8200" }

// Start makes a world, with a vault that is initialised and open on all nodes, below dir.
func Start(ctx context.Context, kind schedule.World, dir string, programs Programs) (*World, error) {
	w := &World{Dir: dir, kind: kind, net: network.New(), programs: programs}
	if err := w.start(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *World) start(ctx context.Context) error {
	var err error
	if w.ca, err = pki.New(w.Dir, time.Now()); err != nil {
		return err
	}
	w.CAFile = w.ca.Cert
	if w.Clients, err = w.net.Host("clients", 100); err != nil {
		return err
	}
	at, err := w.startTarget()
	if err != nil {
		return err
	}
	if w.kind == schedule.External {
		if err := w.startEtcd(); err != nil {
			return err
		}
	}
	seal, err := w.startKMS(ctx)
	if err != nil {
		return fmt.Errorf("starting the key's vault: %w", err)
	}
	for i := range w.kind.Nodes() {
		m, err := w.machine("node"+strconv.Itoa(i), byte(1+i))
		if err != nil {
			return err
		}
		w.Nodes = append(w.Nodes, m)
	}
	if err := w.startNodes("-unseal-key-store", seal, "-target", at); err != nil {
		return err
	}
	return w.open(ctx)
}

// startTarget returns the target's HOST:PORT.
func (w *World) startTarget() (string, error) {
	host, err := w.net.Host("target", 60)
	if err != nil {
		return "", err
	}
	l, err := host.Listen(80)
	if err != nil {
		return "", err
	}
	w.Target = target.Serve(l)
	return l.Addr().String(), nil
}

func (w *World) startEtcd() error {
	var err error
	for i := range w.Members {
		if w.Members[i], err = w.machine("etcd"+strconv.Itoa(i), byte(10+i)); err != nil {
			return err
		}
	}
	for i, m := range w.Members {
		if err := w.run(m, w.programs.Etcd, w.etcdArgs(i)); err != nil {
			return err
		}
	}
	return nil
}

// startNodes starts all nodes: a cluster of their own is formed by all of them.
func (w *World) startNodes(args ...string) error {
	storage, err := w.storage()
	if err != nil {
		return err
	}
	for _, m := range w.Nodes {
		if err := w.runNode(m, append(storage, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// storage is what nodes are told of where they store.
func (w *World) storage() ([]string, error) {
	switch w.kind {
	case schedule.External:
		return []string{"-etcd", w.endpoints()}, nil
	case schedule.Cluster:
		return w.clusterArgs()
	}
	return nil, nil // by itself a node has an embedded store
}

// open makes the vault and waits until each node has opened it.
func (w *World) open(ctx context.Context) (err error) {
	for i, m := range w.Nodes {
		api := w.API(m)
		if i == 0 {
			if w.Root, err = api.initialise(ctx); err != nil {
				return err
			}
		}
		if err := api.awaitOpen(ctx); err != nil {
			return fmt.Errorf("waiting for %s to open: %w; its log is %s", m.Name, err, m.Log)
		}
	}
	return w.mounts(ctx)
}

// machine makes a host with a disk.
func (w *World) machine(name string, number byte) (*Machine, error) {
	m := &Machine{Name: name, Log: filepath.Join(w.Dir, name+".log"), dir: filepath.Join(w.Dir, name)}
	backing := filepath.Join(w.Dir, name+".disk")
	if err := errors.Join(os.Mkdir(m.dir, 0o700), os.Mkdir(backing, 0o700)); err != nil {
		return nil, err
	}
	var err error
	if m.Host, err = w.net.Host(name, number); err != nil {
		return nil, err
	}
	err = m.Host.Do(func() (err error) {
		m.Disk, err = disk.Mount(backing, m.dir)
		return err
	})
	return m, err
}

func (w *World) run(m *Machine, program string, args func() []string) error {
	var err error
	m.Process, err = process.Start(process.Config{Host: m.Host, Program: program, Args: args, Log: m.Log})
	return err
}

func (w *World) endpoints() string {
	all := make([]string, len(w.Members))
	for i, m := range w.Members {
		all[i] = "http://" + m.Host.Addr.String() + ":2379"
	}
	return strings.Join(all, ",")
}

func (w *World) etcdArgs(i int) func() []string {
	peers := make([]string, len(w.Members))
	for j, m := range w.Members {
		peers[j] = m.Name + "=http://" + m.Host.Addr.String() + ":2380"
	}
	m := w.Members[i]
	client, peer := "http://"+m.Host.Addr.String()+":2379", "http://"+m.Host.Addr.String()+":2380"
	return func() []string {
		return []string{
			"--name=" + m.Name, "--data-dir=" + filepath.Join(m.dir, "data"), "--log-level=warn", "--max-txn-ops=1024",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=" + strings.Join(peers, ","), "--initial-cluster-token=chaos", "--pre-vote=true",
		}
	}
}

// runNode runs a server of ours.
func (w *World) runNode(m *Machine, args ...string) error {
	pair, err := w.ca.Issue(pki.Request{Name: m.Name, CommonName: m.Name, Hosts: []string{m.Host.Addr.String()}})
	if err != nil {
		return err
	}
	return w.run(m, w.programs.Node, func() []string {
		return append([]string{
			"-name", m.Name, "-data", filepath.Join(m.dir, "data"), "-listen", m.Host.Addr.String() + ":8200",
			"-cert", pair.Cert, "-key", pair.Key, "-skew", time.Duration(m.skew.Load()).String(),
		}, args...)
	})
}

// Close ends all of it; what lies in the directory stays.
func (w *World) Close() {
	w.acting.Lock()
	defer w.acting.Unlock()
	for _, m := range w.all() {
		if m.Process != nil {
			m.Process.Kill()
		}
	}
	for _, m := range w.all() {
		if m.Disk != nil {
			_ = m.Host.Do(func() error { return syscall.Unmount(m.dir, syscall.MNT_DETACH) })
		}
	}
	if w.Target != nil {
		w.Target.Close()
	}
	w.net.Close()
}

// all are the machines that there are.
func (w *World) all() []*Machine {
	all := append(append([]*Machine{w.KMS}, w.Nodes...), w.Members[:]...)
	return slices.DeleteFunc(all, func(m *Machine) bool { return m == nil })
}
