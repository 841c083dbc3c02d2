package cluster_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app/cluster"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

func list(t *testing.T) (all []member.Config) {
	dir := t.TempDir()
	var peers []member.Peer
	for i := range 3 {
		p, err := port.Free(port.Host())
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, member.Peer{Name: fmt.Sprint("node-", i), URL: "https://" + net.JoinHostPort(port.Host(), strconv.Itoa(p))})
	}
	for _, p := range peers {
		all = append(all, member.Config{
			Dir: filepath.Join(dir, p.Name), Name: p.Name, Peers: peers, Listen: strings.TrimPrefix(p.URL, "https://"),
			Key: redact.New([]byte(strings.Repeat("\x07k", 16))),
		})
	}
	return all
}

// One node fills the store of a cluster to come, is cut off amid it, goes on, and the others
// join it with all that is there; while one of them listens nothing is filled.
func TestOpenAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := list(t)
	for _, name := range []string{"f/a", "f/b"} {
		s, err := cluster.OpenAlone(ctx, all[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(ctx, store.Put(name, []byte(name))); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cfg := range all {
		s, err := cluster.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		for _, name := range []string{"f/a", "f/b"} {
			if e, err := s.Get(ctx, name); err != nil || string(e.Value) != name {
				t.Errorf("%s at %s: %q, %v", name, cfg.Name, e.Value, err)
			}
		}
		late := all[2]
		late.Dir += "-late"
		if _, err := cluster.OpenAlone(ctx, late); errs.KindOf(err) != errs.Conflict || !strings.Contains(err.Error(), `the node "node-0" of the list listens`) {
			t.Errorf("beside %s: %v", cfg.Name, err)
		}
	}
}
