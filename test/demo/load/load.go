package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	vault "github.com/hashicorp/vault/api"
)

// Config describes a load.
type Config struct {
	Client  *vault.Client
	Mount   string // of kv version 2
	Folder  string // below it, empty of other things
	Writers int    // goroutines
	Keys    int    // that each of them writes to in turn
	// Value makes the value of one version of one key.
	Value func(key string, version int) string
}

// field is the one a value is in.
const field = "value"

// Load is writers at work. Its methods are safe for concurrent use.
type Load struct {
	config Config
	cancel context.CancelFunc
	wait   sync.WaitGroup
	acked  atomic.Int64

	keys [][]entry // by writer; read them once the writers have ended
	errs []error   // by writer, why it ended
}

// entry is what is known of one key.
type entry struct {
	acked   int  // the newest version that was acknowledged
	pending bool // the one after it was sent and not answered
}

// Start starts the writers. Each ends at its first error: that of a server
// which is gone.
func Start(ctx context.Context, c Config) (*Load, error) {
	client, err := c.Client.Clone()
	if err != nil {
		return nil, fmt.Errorf("preparing writers: %w", err)
	}
	client.SetToken(c.Client.Token())
	client.SetMaxRetries(0) // a write that failed is not acknowledged, whatever a second try does
	c.Client = client
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{config: c, cancel: cancel, keys: make([][]entry, c.Writers), errs: make([]error, c.Writers)}
	for i := range c.Writers {
		l.keys[i] = make([]entry, c.Keys)
		l.wait.Go(func() { l.errs[i] = l.write(ctx, i) })
	}
	return l, nil
}

func (l *Load) write(ctx context.Context, writer int) error {
	kv := l.config.Client.KVv2(l.config.Mount)
	for n := 0; ; n++ {
		i := n % l.config.Keys
		e, name := &l.keys[writer][i], l.key(writer, i)
		e.pending = true
		s, err := kv.Put(ctx, name, map[string]any{field: l.config.Value(name, e.acked+1)})
		if err != nil {
			return err
		}
		if s.VersionMetadata.Version != e.acked+1 {
			return fmt.Errorf("writing %s: the answer names version %d, not %d", name, s.VersionMetadata.Version, e.acked+1)
		}
		e.acked, e.pending = e.acked+1, false
		l.acked.Add(1)
	}
}

func (l *Load) key(writer, i int) string {
	return fmt.Sprintf("%s/%d/%d", l.config.Folder, writer, i)
}

// Acknowledged is the number of writes the server has said yes to.
func (l *Load) Acknowledged() int { return int(l.acked.Load()) }

// Wait returns when every writer has ended, with why.
func (l *Load) Wait() []error {
	l.wait.Wait()
	return l.errs
}

// Stop ends the writers and waits for them.
func (l *Load) Stop() {
	l.cancel()
	l.wait.Wait()
}

// Check is what is found when everything is asked for again.
type Check struct {
	Keys  int // that have an acknowledged version
	Ahead int // keys whose last write was not answered and is there all the same, which is as well
}

// Verify reads every key. It fails if an acknowledged version is missing, if a
// value is not the one written, or if there is a version nobody wrote. The
// writers have ended.
func (l *Load) Verify(ctx context.Context) (Check, error) {
	var c Check
	var problems []error
	kv := l.config.Client.KVv2(l.config.Mount)
	for writer, entries := range l.keys {
		for i, e := range entries {
			if e.acked == 0 && !e.pending {
				continue
			}
			name := l.key(writer, i)
			s, err := kv.Get(ctx, name)
			switch {
			case ctx.Err() != nil:
				return c, ctx.Err()
			case errors.Is(err, vault.ErrSecretNotFound) && e.acked == 0:
				continue
			case err != nil:
				problems = append(problems, fmt.Errorf("%s: acknowledged version %d: %w", name, e.acked, err))
				continue
			}
			ahead, err := l.compare(name, e, s)
			if err != nil {
				problems = append(problems, err)
			}
			if e.acked > 0 {
				c.Keys++
			}
			c.Ahead += ahead
		}
	}
	return c, errors.Join(problems...)
}

// compare returns 1 if the key is one version further than acknowledged.
func (l *Load) compare(name string, e entry, s *vault.KVSecret) (ahead int, err error) {
	version := s.VersionMetadata.Version
	ahead = version - e.acked
	switch {
	case ahead < 0:
		return 0, fmt.Errorf("%s: version %d was acknowledged and is lost: the newest is %d", name, e.acked, version)
	case ahead > 1 || ahead == 1 && !e.pending:
		return 0, fmt.Errorf("%s: nobody wrote version %d: the last was %d", name, version, e.acked)
	case s.Data[field] != l.config.Value(name, version):
		return 0, fmt.Errorf("%s: version %d does not hold what was written to it", name, version)
	}
	return ahead, nil
}
