package world

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/strongkeep/strongkeep/test/chaos/schedule"
)

// clusterArgs make the key that members share, and are what nodes are told of their cluster.
func (w *World) clusterArgs() ([]string, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program first
	file := filepath.Join(w.Dir, "cluster.key")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(key)), 0o600); err != nil {
		return nil, err
	}
	list := make([]string, len(w.Nodes))
	for i, m := range w.Nodes {
		list[i] = m.Name + "=https://" + m.Host.Addr.String() + ":8201"
	}
	return []string{"-members", strings.Join(list, ","), "-cluster-key", file}, nil
}

// Whole says what a cluster of the nodes lacks: each is to be a member of it that is there and votes.
// Where members are programs of their own it lacks nothing.
func (w *World) Whole(ctx context.Context) error {
	if w.kind != schedule.Cluster {
		return nil
	}
	a := w.API(w.Nodes[0])
	defer a.HTTP.CloseIdleConnections()
	var got struct {
		Data struct {
			Config struct {
				Servers []struct {
					Name    string `json:"node_id"`
					Voter   bool   `json:"voter"`
					Healthy bool   `json:"healthy"`
				} `json:"servers"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := a.must(ctx, http.MethodGet, "sys/storage/raft/configuration", nil, &got); err != nil {
		return err
	}
	all, n := got.Data.Config.Servers, 0
	for _, s := range all {
		if s.Voter && s.Healthy {
			n++
		}
	}
	if n != len(w.Nodes) || n != len(all) {
		return fmt.Errorf("%d of these are members that are there and vote: %+v", n, all)
	}
	return nil
}

// stopping asks a node to end, as who restarts it in peace does.
func stopping(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
	p := w.Nodes[f.A].Process
	return p.Run, p.Stop()
}

// loseDisk ends a node, which comes back with nothing.
func loseDisk(_ context.Context, w *World, f schedule.Fault) (func() error, error) {
	m := w.Nodes[f.A]
	m.Process.Kill()
	return m.Process.Run, m.Host.Do(func() error { return m.Disk.Empty(m.dir) })
}
