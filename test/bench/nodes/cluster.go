package nodes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// node is one server of a cluster.
type node struct {
	rig.Server
	name    string
	address string // of its API
	token   string // of an application
	quota   *rig.Quota
}

// cluster is servers that store together, on this machine's loopback.
type cluster struct {
	rig     *rig.Rig
	dir     string
	members string  // as each is told
	part    float64 // of a core that each node has; 0 = what the machine gives
	nodes   []*node
	root    string
}

// start runs so many nodes, initialises the vault and mounts KV version 2.
func start(ctx context.Context, b *rig.Rig, name string, count int, part float64) (_ *cluster, err error) {
	c := &cluster{rig: b, dir: filepath.Join(b.Dir, name), part: part}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the folder of the cluster: %w", err)
	}
	for _, key := range []string{c.unsealKey(), c.clusterKey()} {
		if _, err := rig.Command(ctx, b.Dir, b.Binary, "operator", "unseal-key", key); err != nil {
			return nil, err
		}
	}
	var members []string
	for i := range count {
		n := &node{name: "node-" + strconv.Itoa(i)}
		n.Data = filepath.Join(c.dir, n.name)
		peer, err := rig.FreeAddress()
		if err != nil {
			return nil, err
		}
		if n.address, err = rig.FreeAddress(); err != nil {
			return nil, err
		}
		n.URL = "https://" + n.address
		members = append(members, n.name+"=https://"+peer)
		c.nodes = append(c.nodes, n)
	}
	c.members = strings.Join(members, ",")
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	for _, n := range c.nodes {
		if err := c.run(n); err != nil {
			return nil, err
		}
	}
	return c, c.open(ctx)
}

func (c *cluster) unsealKey() string  { return filepath.Join(c.dir, "unseal.key") }
func (c *cluster) clusterKey() string { return filepath.Join(c.dir, "cluster.key") }

// run starts the process of one node.
func (c *cluster) run(n *node) (err error) {
	name := filepath.Base(c.dir) + "-" + n.name
	command := []string{c.rig.Binary, "server", "-storage=cluster", "-data-dir=" + n.Data,
		"-listen=" + n.address, "-cluster-key-file=" + c.clusterKey(), "-cluster-node=" + n.name, "-cluster-members=" + c.members,
		"-unseal-key-file=" + c.unsealKey(), "-log-level=warn"}
	if c.part > 0 && n.quota == nil {
		if n.quota, err = rig.NewQuota(filepath.Base(c.rig.Dir)+"-"+name, c.part); err != nil {
			return err
		}
	}
	if n.quota != nil {
		command = n.quota.Within(command...)
	}
	n.Process, err = c.rig.Start(name, command[0], command[1:]...)
	return err
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		if n.Process != nil {
			n.Process.Stop(10 * time.Second)
		}
		if n.quota != nil {
			if err := n.quota.Close(); err != nil {
				c.rig.Say("  removing what limits %s: %v", n.name, err)
			}
		}
	}
}

// open initialises the vault by the first node, and waits until all answer with its token.
func (c *cluster) open(ctx context.Context) error {
	first := c.nodes[0]
	asked := func(ctx context.Context) (err error) {
		if first.Client, err = rig.NewClient(first.URL, first.caFile(), ""); err != nil {
			return err
		}
		_, err = first.Client.Sys().InitStatusWithContext(ctx)
		return err
	}
	if err := first.Process.Await(ctx, asked); err != nil {
		return err
	}
	made, err := first.Client.Sys().InitWithContext(ctx, &vault.InitRequest{RecoveryShares: 5, RecoveryThreshold: 3})
	if err != nil {
		return first.Process.Explain(err)
	}
	c.root = made.RootToken
	for _, n := range c.nodes {
		if err := n.Process.Await(ctx, func(ctx context.Context) error { return c.answers(ctx, n) }); err != nil {
			return err
		}
	}
	if err := first.Client.Sys().MountWithContext(ctx, rig.Mounted, &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		return err
	}
	for _, n := range c.nodes { // who sends no index may find that another node has not heard of it yet
		mounted := func(ctx context.Context) error {
			_, err := n.Client.Logical().ReadWithContext(ctx, rig.Mounted+"/config")
			return err
		}
		if err := n.Process.Await(ctx, mounted); err != nil {
			return err
		}
	}
	return nil
}

// answers gives a node its client when it takes the root token.
func (c *cluster) answers(ctx context.Context, n *node) (err error) {
	if n.Client, err = rig.NewClient(n.URL, n.caFile(), c.root); err != nil {
		return err
	}
	_, err = n.Client.Auth().Token().LookupSelfWithContext(ctx)
	return err
}

func (n *node) caFile() string { return filepath.Join(n.Data, "tls", "ca.pem") }

// leader is the node that leads the members' log: whose loss costs most.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	s, err := c.nodes[0].Client.Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
	if err != nil {
		return nil, err
	}
	config, _ := s.Data["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	for _, one := range servers {
		server, _ := one.(map[string]any)
		if leads, _ := server["leader"].(bool); !leads {
			continue
		}
		for _, n := range c.nodes {
			if n.name == server["node_id"] {
				return n, nil
			}
		}
	}
	return nil, errs.New(errs.Internal, fmt.Sprintf("none of %d servers is said to lead", len(servers)))
}
