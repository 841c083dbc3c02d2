package rolling_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/test/nodes/fleet"
)

// pace is how long a client thinks between two things it does.
const pace = 20 * time.Millisecond

// load is clients that write and read while nodes come and go.
type load struct {
	fleet   *fleet.Fleet
	clients []*client
	end     context.CancelFunc
	running sync.WaitGroup
}

// client counts up in a secret of its own, by one way, and reads it by another.
type client struct {
	path        string
	write, read *vault.Client
	away        []*atomic.Int64 // restarts of the node behind each way: odd while it is away; nil = never
	acked       atomic.Int64    // the last number that was acknowledged
	heard       time.Time       // when a node last answered that was not deaf
	state       string          // X-Vault-Index of the last answer
}

// begin has clients of two kinds work: those that ask whichever node there is, through a balancer
// and with the official library's retries, and those of one node each, without.
func begin(f *fleet.Fleet, away map[*fleet.Node]*atomic.Int64) *load {
	f.Helper()
	ctx, end := context.WithCancel(f.Context())
	l := &load{fleet: f, end: end}
	fleet.Asked(f, "a mount", func() error {
		return f.Nodes[0].Client().Sys().MountWithContext(ctx, "kv", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
	})
	balanced := func() *vault.Client {
		c := f.Client("https://"+fleet.Balance(f, f.Nodes), f.Root)
		c.SetMaxRetries(vault.DefaultConfig().MaxRetries)
		return c
	}
	for i, n := range f.Nodes {
		next := f.Nodes[(i+1)%len(f.Nodes)]
		l.clients = append(l.clients,
			&client{path: "balanced-" + strconv.Itoa(i), write: balanced(), read: balanced()},
			&client{path: "direct-" + n.Name, write: n.Client(), read: next.Client(), away: []*atomic.Int64{away[n], away[next]}})
	}
	for _, c := range l.clients {
		c.write = c.write.WithResponseCallbacks(vault.RecordState(&c.state))
		l.running.Go(func() {
			if err := c.run(ctx); err != nil {
				f.Errorf("%s: %v", c.path, err)
			}
		})
	}
	f.Cleanup(func() { end(); l.running.Wait() })
	return l
}

func (c *client) run(ctx context.Context) error {
	c.heard = time.Now()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ok, err := c.tried(ctx, 0, func() error {
			_, err := c.write.KVv2("kv").Put(ctx, c.path, map[string]any{"n": strconv.FormatInt(n, 10)})
			return err
		})
		if err != nil {
			return fmt.Errorf("writing %d: %w", n, err)
		}
		if !ok {
			continue
		}
		c.acked.Store(n)
		if _, err := c.tried(ctx, 1, func() error {
			got, err := stored(ctx, c.read.WithRequestCallbacks(vault.RequireState(c.state)), c.path)
			if err == nil && got != n {
				err = fmt.Errorf("%d was acknowledged, and %d is there", n, got)
			}
			return err
		}); err != nil {
			return fmt.Errorf("reading %d: %w", n, err)
		}
	}
}

// tried does an act by one of the two ways. Of a node that went away meanwhile or was, an error is
// fine that is none of its answers; so is a node that cannot hear etcd, for ten seconds.
func (c *client) tried(ctx context.Context, way int, act func() error) (ok bool, err error) {
	var before int64
	if c.away != nil {
		before = c.away[way].Load()
	}
	err = act()
	if !fleet.Deaf(err) {
		c.heard = time.Now()
	}
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, nil
	}
	if fleet.Deaf(err) && time.Since(c.heard) < 10*time.Second {
		return false, nil
	}
	answer := (*vault.ResponseError)(nil)
	if c.away != nil && !errors.As(err, &answer) && (before%2 == 1 || c.away[way].Load() != before) {
		return false, nil
	}
	return false, err
}

func stored(ctx context.Context, by *vault.Client, path string) (int64, error) {
	s, err := by.KVv2("kv").Get(ctx, path)
	if err != nil {
		return 0, err
	}
	text, _ := s.Data["n"].(string)
	return strconv.ParseInt(text, 10, 64)
}

// stop ends the clients, and looks whether each node has what was acknowledged.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	l.running.Wait()
	writes := int64(0)
	for _, c := range l.clients {
		acked := c.acked.Load()
		writes += acked
		for _, n := range l.fleet.Nodes {
			by := n.Client().WithRequestCallbacks(vault.RequireState(c.state))
			by.SetMaxRetries(2)
			fleet.Asked(t, c.path+" is read on "+n.Name, func() error {
				got, err := stored(t.Context(), by, c.path)
				if err == nil && got < acked {
					t.Errorf("%s on %s: %d is there, although %d was acknowledged", c.path, n.Name, got, acked)
				}
				return err
			})
		}
	}
	t.Logf("%d writes", writes)
	if writes < 100 {
		t.Error("that was no load")
	}
}

// progress waits until each client has had a write acknowledged after now.
func (l *load) progress(t *testing.T) {
	t.Helper()
	for _, c := range l.clients {
		before := c.acked.Load()
		fleet.Eventually(t, "clients go on: "+c.path, func() error {
			if t.Failed() {
				t.FailNow()
			}
			if c.acked.Load() == before {
				return fmt.Errorf("%d was the last write", before)
			}
			return nil
		})
	}
}
