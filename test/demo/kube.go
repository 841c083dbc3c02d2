package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/strongkeep/strongkeep/test/cluster"
)

// kube is kubectl, with all permissions.
type kube struct{ cluster *cluster.Cluster }

// run returns the standard output of kubectl, without the newline at its end.
func (k kube) run(ctx context.Context, args ...string) (string, error) {
	return k.pipe(ctx, nil, args...)
}

func (k kube) pipe(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, err := k.cluster.Kubectl(ctx, stdin, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// apply applies files and folders.
func (k kube) apply(ctx context.Context, paths ...string) error {
	args := []string{"apply", "--server-side"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	_, err := k.run(ctx, args...)
	return err
}

// command prepares a kubectl that goes on.
func (k kube) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(k.cluster.Bin(), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.cluster.Kubeconfig())
	return cmd
}
