package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/kubeconfig"
)

// tokenLifetime is that of ServiceAccountKubeconfig: longer than any test.
const tokenLifetime = 24 * time.Hour

// Kubectl runs kubectl with all permissions and returns its standard output. Its
// error holds the standard error. A nil stdin is empty.
func (c *Cluster) Kubectl(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.programs["kubectl"], args...)
	cmd.Stdin = stdin
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.at.Kubeconfig,
		"KUBECACHEDIR="+filepath.Join(c.at.Dir, "control", "kubectl"),
	)
	return output(cmd, "kubectl "+strings.Join(args, " "))
}

// Etcdctl runs etcdctl against the cluster's etcd and returns its standard
// output.
func (c *Cluster) Etcdctl(ctx context.Context, args ...string) ([]byte, error) {
	e := c.Etcd()
	cmd := exec.CommandContext(ctx, c.programs["etcdctl"], args...)
	cmd.Env = append(os.Environ(),
		"ETCDCTL_ENDPOINTS="+e.Endpoint,
		"ETCDCTL_CACERT="+e.CAFile,
		"ETCDCTL_CERT="+e.CertFile,
		"ETCDCTL_KEY="+e.KeyFile,
	)
	return output(cmd, "etcdctl "+strings.Join(args, " "))
}

// ServiceAccountKubeconfig returns the path of a kubeconfig that acts as an
// existing ServiceAccount, with a new token of TokenRequest.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	token, err := c.Kubectl(ctx, nil, "create", "token", name,
		"--namespace", namespace, "--duration", tokenLifetime.String())
	if err != nil {
		return "", fmt.Errorf("minting token: %w", err)
	}
	f, err := os.CreateTemp(filepath.Join(c.at.Dir, "control"), namespace+"-"+name+"-*.kubeconfig")
	if err != nil {
		return "", fmt.Errorf("making kubeconfig: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("making kubeconfig: %w", err)
	}
	return f.Name(), kubeconfig.Write(f.Name(), kubeconfig.Config{
		Server: c.at.URL, CAFile: c.at.CAFile, Token: strings.TrimSpace(string(token)), Namespace: namespace,
	})
}

// output runs a command; name stands for it in the error.
func output(cmd *exec.Cmd, name string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out, fmt.Errorf("running %s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		return out, fmt.Errorf("running %s: %w", name, err)
	}
	return out, nil
}
