package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/control"
	"github.com/strongkeep/strongkeep/test/cluster/pki"
	"github.com/strongkeep/strongkeep/test/cluster/process"
	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

const readyTimeout = 3 * time.Minute

// Node is a running node, seen from the host.
type Node struct {
	spec Spec
	init *process.Process
	// toInit carries a Spec, then Credentials.
	toInit *os.File
}

// Start makes the namespaces, the link and the runtime. The node's address on
// the host exists when it returns; Join makes it a node of a cluster.
func Start(s Spec) (*Node, error) {
	fromHost, toInit, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting node: %w", err)
	}
	defer func() { _ = fromHost.Close() }()
	n := &Node{spec: s, toInit: toInit}
	n.init, err = process.Start(process.Config{
		Name:       "node",
		Path:       s.Programs["cluster"],
		Args:       []string{InitCommand},
		LogDir:     s.LogDir,
		Stdin:      fromHost,
		Cloneflags: namespaces,
	})
	if err != nil {
		_ = toInit.Close()
		return nil, err
	}
	if err := n.prepare(); err != nil {
		err = n.init.Explain(fmt.Errorf("starting node: %w", err))
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// prepare does what Init cannot do from inside.
func (n *Node) prepare() error {
	if err := makeCgroups(n.spec.Number.Cgroup()); err != nil {
		return err
	}
	if err := n.link(); err != nil {
		return err
	}
	return n.tell(n.spec)
}

// link connects the host with the node's network namespace.
func (n *Node) link() error {
	number, device := n.spec.Number, n.spec.Number.Device()
	return ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", device, n.init.PID()),
		fmt.Sprintf("address add %s/30 dev %s", number.HostIP(), device),
		fmt.Sprintf("link set %s up", device),
		fmt.Sprintf("route add %s via %s dev %s", number.Pods(), number.NodeIP(), device),
		fmt.Sprintf("route add %s via %s dev %s", number.Services(), number.NodeIP(), device),
	)
}

func (n *Node) tell(v any) error {
	if err := json.NewEncoder(n.toInit).Encode(v); err != nil {
		return fmt.Errorf("telling the node: %w", err)
	}
	return nil
}

// Process is the node's first process; when it ends, all of the node does.
func (n *Node) Process() *process.Process { return n.init }

// Join makes the node part of a cluster and returns when pods can run on it and
// reach the API server through its Service.
func (n *Node) Join(ctx context.Context, p *control.Plane, services netip.Prefix) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	c, err := n.credentials(p)
	if err != nil {
		return fmt.Errorf("joining node: %w", err)
	}
	if err := n.tell(c); err != nil {
		return n.init.Explain(err)
	}
	ready := func(ctx context.Context) error { return n.ready(ctx, p.Client) }
	if err := n.init.Await(ctx, ready); err != nil {
		return n.explain(err, "kubelet")
	}
	api := net.JoinHostPort(services.Addr().Next().String(), "443")
	reachable := func(ctx context.Context) error { return dial(ctx, api) }
	if err := n.init.Await(ctx, reachable); err != nil {
		return n.explain(err, "kube-proxy")
	}
	return nil
}

func (n *Node) credentials(p *control.Plane) (Credentials, error) {
	c := Credentials{CAFile: p.Authority.Cert}
	var err error
	c.Serving, err = p.Authority.Issue(pki.Request{
		Name: "kubelet-serving", CommonName: "system:node:" + Name, Groups: []string{"system:nodes"},
		Hosts: []string{Name, n.spec.Number.NodeIP().String()},
	})
	if err != nil {
		return c, err
	}
	c.KubeletKubeconfig, err = p.IssueKubeconfig(pki.Request{
		Name: "kubelet", CommonName: "system:node:" + Name, Groups: []string{"system:nodes"},
	})
	if err != nil {
		return c, err
	}
	c.ProxyKubeconfig, err = p.IssueKubeconfig(pki.Request{Name: "kube-proxy", CommonName: "system:kube-proxy"})
	return c, err
}

// ready holds when the node is Ready and nothing keeps pods from it.
func (n *Node) ready(ctx context.Context, c *control.Client) error {
	var node struct {
		Spec   struct{ Taints []struct{ Key string } }
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.Get(ctx, "/api/v1/nodes/"+Name, &node); err != nil {
		return fmt.Errorf("waiting for the node: %w", err)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status != "True" {
			return fmt.Errorf("waiting for the node: not ready: %s", condition.Message)
		}
	}
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("waiting for the node: tainted with %s", node.Spec.Taints[0].Key)
	}
	return nil
}

// explain adds the log of a part to an error, unless the node has ended: then
// the error has the log of the part that made it end.
func (n *Node) explain(err error, part string) error {
	select {
	case <-n.init.Done():
		return err
	default:
		log := filepath.Join(n.spec.LogDir, part+".log")
		return fmt.Errorf("%w\nend of %s:\n%s", err, log, process.Tail(log))
	}
}

// Stop ends every process of the node at once and removes what is left of it.
func (n *Node) Stop() error {
	n.init.Stop(0) // returns when the kernel has killed the whole PID namespace
	_ = n.toInit.Close()
	return Clean(n.spec.Number)
}

// Clean removes what a node leaves on the host when its first process is
// killed. The node no longer runs.
func Clean(number slot.Number) error {
	var err error
	if _, missing := net.InterfaceByName(number.Device()); missing == nil {
		// It goes with the network namespace, but only some time after it.
		if e := ip("link delete " + number.Device()); e != nil {
			if _, missing := net.InterfaceByName(number.Device()); missing == nil {
				err = e
			}
		}
	}
	return errors.Join(err, removeCgroups(number.Cgroup()))
}

// Enter returns the arguments of a command that runs args in the namespaces of
// the node whose first process is pid. Killing the command kills args: program
// is ours, which sees to that by ExecCommand.
func Enter(program string, pid int, args ...string) []string {
	return append([]string{
		"nsenter", "--target", strconv.Itoa(pid), "--mount", "--net", "--uts", "--ipc", "--pid", "--",
		program, ExecCommand,
	}, args...)
}

// ip runs commands of iproute2 until one fails.
func ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func dial(ctx context.Context, address string) error {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("waiting for the API server's Service: %w", err)
	}
	return conn.Close()
}
