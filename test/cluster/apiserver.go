package cluster

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	programs "github.com/strongkeep/strongkeep/test/cluster/process"
)

// APIServer is one more API server of a cluster: a process of whoever asked for it, that
// shares etcd and all certificates with the first one.
type APIServer struct {
	*programs.Process
	URL string
}

// apiServerReady is how long an API server gets to be ready.
const apiServerReady = 3 * time.Minute

// AddAPIServer starts one on a port, with the flags of the first one and more, which
// override them. It returns once ready of its URL is nil; on error nothing is left
// running. The caller stops it before the cluster.
func (c *Cluster) AddAPIServer(ctx context.Context, port int, ready func(context.Context, string) error, flags ...string) (*APIServer, error) {
	at, err := url.Parse(c.at.URL)
	if err != nil {
		return nil, fmt.Errorf("starting another API server: %w", err)
	}
	address := "https://" + net.JoinHostPort(at.Hostname(), strconv.Itoa(port))
	args := slices.Concat(c.at.APIArgs, []string{"--secure-port=" + strconv.Itoa(port)}, flags)
	logs := filepath.Join(c.LogDir(), strconv.Itoa(port))
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return nil, fmt.Errorf("starting another API server: %w", err)
	}
	p, err := programs.Start(programs.Config{Name: "kube-apiserver", Path: c.programs["kube-apiserver"], Args: args, LogDir: logs})
	if err != nil {
		return nil, fmt.Errorf("starting another API server: %w", err)
	}
	s := &APIServer{Process: p, URL: address}
	ctx, cancel := context.WithTimeout(ctx, apiServerReady)
	defer cancel()
	if err := p.Await(ctx, func(ctx context.Context) error { return ready(ctx, address) }); err != nil {
		p.Stop(0)
		return nil, fmt.Errorf("starting another API server: %w", err)
	}
	return s, nil
}
