package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/strongkeep/strongkeep/test/cluster/image"
	"github.com/strongkeep/strongkeep/test/cluster/node"
)

// ErrNoNode is returned by what needs Config.Node.
var ErrNoNode = errors.New("the cluster has no node")

// NodeName is the name of the node; empty if there is none.
func (c *Cluster) NodeName() string { return c.at.NodeName }

// HostIP is where pods reach processes of this machine that listen on it, or on
// all addresses. Without a node it is the loopback address, so that the API
// server reaches a webhook on it either way.
func (c *Cluster) HostIP() string { return c.at.HostIP.String() }

// LoadImage makes an image of static binaries and gives it to the node. Files
// maps absolute paths in the image to paths on this machine. Pods name the image
// as given here, with registry and tag (localhost/probe:1), and need
// imagePullPolicy Never or IfNotPresent.
func (c *Cluster) LoadImage(ctx context.Context, name string, files map[string]string, entrypoint ...string) error {
	f, err := os.CreateTemp(filepath.Join(c.at.Dir, "node"), "image-*.tar")
	if err != nil {
		return fmt.Errorf("loading image %q: %w", name, err)
	}
	_ = f.Close() // it is written by name
	defer func() { _ = os.Remove(f.Name()) }()
	i := image.Image{Name: name, Files: files, Entrypoint: entrypoint}
	if err := i.WriteFile(f.Name()); err != nil {
		return err
	}
	cmd, err := c.NodeCommand(ctx, node.ImportCommand(c.programs["ctr"], f.Name())...)
	if err != nil {
		return fmt.Errorf("loading image %q: %w", name, err)
	}
	_, err = output(cmd, "ctr images import "+name)
	return err
}

// NodeCommand prepares a command that runs in the node as a program installed
// there would: with its file system, in which /var/lib/kubelet, /run and /var/log
// are the node's own and all else is this machine's, and with its network. Use
// it for what a host process does on a real node, a CSI driver for example. The
// program is killed with the command, and with the cluster; signals are not
// passed on to it.
func (c *Cluster) NodeCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	if c.at.NodeName == "" {
		return nil, ErrNoNode
	}
	enter := node.Enter(c.programs["cluster"], c.at.NodePID, args...)
	return exec.CommandContext(ctx, enter[0], enter[1:]...), nil
}
