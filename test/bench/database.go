package main

import (
	"context"
	"slices"
	"sync"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// Dynamic users of PostgreSQL: so many a second, for a while, each gone soon
// after its lease has ended.
const (
	credsPerSecond = 100.0
	credsTTL       = 8 * time.Second
	// credsLateBound, s, is the grace that users have in the database itself. Up
	// to 3 s are the vault's own: leases end a second late, on whole seconds, and
	// are looked for each second.
	credsLateBound = 5.0
	// Where all are granted the same table PostgreSQL does one after the other.
	tableLateBound = 10.0
)

// credsLoad is one way to give users their rights.
type credsLoad struct {
	name  string
	grant string
	rate  float64 // bound, as a part of credsPerSecond
	late  float64 // bound, s
}

// In the first each user joins a group, as is advised. In the second all are
// granted the same table, as in Vault's own example: the server then lets only
// one transaction at a time succeed.
func databaseBenchmarks() []benchmark {
	var all []benchmark
	for _, l := range []credsLoad{
		{"database-creds", `GRANT readers TO "{{name}}"`, 0.98, credsLateBound},
		{"database-creds-table", `GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"`, 0.90, tableLateBound},
	} {
		all = append(all, benchmark{l.name, l.run})
	}
	return all
}

// made is one user and when its lease ends.
type made struct {
	name string
	due  time.Time
	took time.Duration
}

// run asks for users at the rate wanted, while those of earlier end, and then
// watches until the last is gone. PostgreSQL is durable.
func (l credsLoad) run(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	pg, err := dbtest.DurablePostgreSQL()
	if err != nil {
		return nil, err
	}
	defer dbtest.Close()
	conn, err := connectPostgreSQL(ctx, pg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, `CREATE TABLE orders (id int); CREATE ROLE readers; GRANT SELECT ON orders TO readers`); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a table: %w", err)
	}
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	if err := setDatabase(ctx, s, pg, l.grant); err != nil {
		return nil, s.Process.Explain(err)
	}
	watch := &watcher{conn: conn, due: map[string]time.Time{}}
	stop := watch.run(ctx)
	users, took, err := askForUsers(ctx, s, watch, b.Duration)
	if err != nil {
		stop()
		return nil, s.Process.Explain(err)
	}
	if err := watch.wait(ctx); err != nil {
		stop()
		return nil, s.Process.Explain(err)
	}
	stop()
	latency := make([]time.Duration, len(users))
	for i, u := range users {
		latency[i] = u.took
	}
	b.Say("  %d users; p99 of making one %d ms; gone after the end of the lease: median %d ms, p99 %d ms, at most %d ms", len(users),
		quantile(latency, 0.99).Milliseconds(), quantile(watch.late, 0.5).Milliseconds(), quantile(watch.late, 0.99).Milliseconds(), quantile(watch.late, 1).Milliseconds())
	// What was asked for in time is a rate of 100; 2 % are for the last one's way.
	return []figure.Figure{
		figure.AtLeast(l.rate, l.name, float64(len(users))/took.Seconds(), "creds/s", credsPerSecond),
		figure.Within(l.late, l.name+"-lateness", quantile(watch.late, 0.99).Seconds(), "s"),
	}, nil
}

func connectPostgreSQL(ctx context.Context, pg *dbtest.Server) (*pgx.Conn, error) {
	conf, err := pgx.ParseConfig(pg.URL("x", "x"))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading the address of PostgreSQL: %w", err)
	}
	conf.User, conf.Password = pg.User, pg.Password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "connecting to PostgreSQL: %w", err)
	}
	return conn, nil
}

func setDatabase(ctx context.Context, s *rig.Server, pg *dbtest.Server, grant string) error {
	if err := s.Client.Sys().MountWithContext(ctx, "database", &vault.MountInput{Type: "database"}); err != nil {
		return err
	}
	_, err := s.Client.Logical().WriteWithContext(ctx, "database/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": pg.URL("{{username}}", "{{password}}"),
		"username": pg.User, "password": pg.Password, "allowed_roles": "*", "max_open_connections": 16,
	})
	if err != nil {
		return err
	}
	_, err = s.Client.Logical().WriteWithContext(ctx, "database/roles/app", map[string]any{
		"db_name": "pg", "default_ttl": credsTTL.String(),
		"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; ` + grant,
	})
	return err
}

// askForUsers asks at the rate wanted for as long as is wanted, at least for
// twice the TTL, so that half of the time users end as fast as they are made.
func askForUsers(ctx context.Context, s *rig.Server, w *watcher, duration time.Duration) ([]made, time.Duration, error) {
	var mu sync.Mutex
	var users []made
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	began := time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / credsPerSecond))
	defer tick.Stop()
	for time.Since(began) < max(duration, 2*credsTTL) && ctx.Err() == nil {
		<-tick.C
		group.Go(func() error {
			asked := time.Now()
			got, err := s.Client.Logical().ReadWithContext(ctx, "database/creds/app")
			if err != nil {
				return err
			}
			name, _ := got.Data["username"].(string)
			u := made{name, asked.Add(credsTTL), time.Since(asked)}
			w.expect(u)
			mu.Lock()
			defer mu.Unlock()
			users = append(users, u)
			return nil
		})
	}
	err := group.Wait()
	return users, time.Since(began), err
}

// watcher sees users go.
type watcher struct {
	conn *pgx.Conn

	mu   sync.Mutex
	due  map[string]time.Time // of users that are still there
	late []time.Duration
	err  error
}

func (w *watcher) expect(u made) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[u.name] = u.due
}

// run looks every 50 ms until stop is called, which waits.
func (w *watcher) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := w.look(ctx); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.err = err
				w.mu.Unlock()
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func (w *watcher) look(ctx context.Context) error {
	w.mu.Lock()
	known := make([]string, 0, len(w.due))
	for name := range w.due {
		known = append(known, name)
	}
	w.mu.Unlock()
	rows, err := w.conn.Query(ctx, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range known {
		if !there[name] {
			w.late = append(w.late, now.Sub(w.due[name]))
			delete(w.due, name)
		}
	}
	return nil
}

// wait returns when all users are gone.
func (w *watcher) wait(ctx context.Context) error {
	deadline := time.Now().Add(credsTTL + time.Minute)
	for {
		w.mu.Lock()
		left, err := len(w.due), w.err
		w.mu.Unlock()
		switch {
		case err != nil:
			return errs.Newf(errs.Unavailable, "watching users: %w", err)
		case left == 0:
			return nil
		case time.Now().After(deadline):
			return errs.Newf(errs.Internal, "%d users are there long after the end of their leases", left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// quantile returns the q-th of durations, 0 of none.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
