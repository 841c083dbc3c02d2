package shop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/demo/server"
	"github.com/strongkeep/strongkeep/test/rotation/collector"
)

// Names that the examples use.
const (
	Namespace = "shop"
	creds     = "database/alternating-creds/shop"
)

// often is how often is looked at what is waited for.
const often = 50 * time.Millisecond

// Config says where the shop is.
type Config struct {
	Host     string // where pods reach this process
	Examples string // folder of the manifests
	Dir      string // for files of its own
	Server   *server.Server
	// Kubeconfig has all permissions.
	Kubeconfig string
	// Kubectl runs it with all permissions and returns what it prints.
	Kubectl func(ctx context.Context, stdin io.Reader, args ...string) (string, error)
	// Canary hears of every secret there is, and what it is.
	Canary func(what, secret string)
}

// Shop is a database, and applications that use it. It is for one goroutine.
type Shop struct {
	Config
	db        *dbtest.Server
	collector *collector.Collector
}

// Open starts PostgreSQL, which root installs if it is missing, and makes what
// its administrator would: the user of the vault, who may make users.
func Open(ctx context.Context, c Config) (*Shop, error) {
	s := &Shop{Config: c}
	var err error
	if s.db, err = dbtest.Open("postgres", c.Host); err != nil {
		return nil, err
	}
	if s.collector, err = collector.Start(ctx, c.Host); err != nil {
		dbtest.Close()
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the database. A nil Shop is closed.
func (s *Shop) Close() {
	if s != nil {
		s.collector.Close()
		dbtest.Close()
	}
}

// Address is where the database is.
func (s *Shop) Address() string { return s.db.Outside }

// prepare makes the vault's user in the database, and tells the vault.
func (s *Shop) prepare(ctx context.Context) error {
	password := rand.Text()
	s.Canary("the password of the vault's own user in the database", password)
	for _, text := range []string{
		"CREATE ROLE shop", "CREATE TABLE shop_item (n int)", "INSERT INTO shop_item VALUES (1)", "GRANT SELECT ON shop_item TO shop",
		"CREATE ROLE vault LOGIN CREATEROLE PASSWORD '" + password + "' IN ROLE pg_read_all_stats, pg_signal_backend",
		"GRANT shop TO vault WITH ADMIN OPTION",
	} {
		if _, err := s.query(ctx, text); err != nil {
			return err
		}
	}
	config, err := json.Marshal(map[string]string{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "shop",
		"connection_url": "postgresql://{{username}}:{{password}}@" + s.db.Address + "/postgres?sslmode=disable",
		"username":       "vault", "password": password,
	})
	if err != nil {
		return fmt.Errorf("encoding the connection: %w", err)
	}
	if err := s.Server.All(ctx, []string{"secrets", "enable", "database"}, []string{"secrets", "enable", "evidence"}); err != nil {
		return err
	}
	if _, err := s.Server.CLI(ctx, string(config), "write", "database/config/shop", "-"); err != nil {
		return err
	}
	return s.Server.All(ctx,
		[]string{"write", "database/alternating-roles/shop", "@" + s.example("shop-database-role.json")},
		[]string{"policy", "write", "shop", s.example("shop.hcl")},
		[]string{"policy", "write", "rotator", s.example("rotator.hcl")},
		[]string{"write", "auth/kubernetes/role/shop", "@" + s.example("shop-role.json")},
		[]string{"write", "auth/kubernetes/role/rotator", "@" + s.example("rotator-role.json")})
}

// query asks the database as its administrator, and returns the first column.
func (s *Shop) query(ctx context.Context, text string) ([]string, error) {
	conf, err := pgx.ParseConfig("postgres://" + s.db.Address + "/postgres?sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("reaching the database: %w", err)
	}
	conf.User, conf.Password = s.db.User, s.db.Password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("asking the database: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("asking the database: %w", err)
	}
	return found, nil
}

// Consume has the vault make the first user, and starts the applications. It
// returns once all of them query.
func (s *Shop) Consume(ctx context.Context) (collector.Totals, error) {
	for _, args := range [][]string{
		{"create", "namespace", Namespace},
		{"--namespace=" + Namespace, "create", "configmap", "strongkeep-ca", "--from-file=ca.crt=" + s.Server.CAFile()},
	} {
		if _, err := s.Kubectl(ctx, nil, args...); err != nil {
			return collector.Totals{}, err
		}
	}
	if err := s.apply(ctx, "rotation.yaml"); err != nil {
		return collector.Totals{}, err
	}
	if _, err := s.turn(ctx); err != nil {
		return collector.Totals{}, err
	}
	if err := s.apply(ctx, "shop.yaml"); err != nil {
		return collector.Totals{}, err
	}
	for _, name := range []string{"deployment/web", "deployment/worker"} {
		if _, err := s.Kubectl(ctx, nil, "--namespace="+Namespace, "rollout", "status", name, "--timeout=50s"); err != nil {
			return collector.Totals{}, err
		}
	}
	return s.queried(ctx, 100)
}

// queried waits until there were so many more queries.
func (s *Shop) queried(ctx context.Context, more int64) (collector.Totals, error) {
	enough := s.collector.Totals("").Queries + more
	err := until(ctx, "queries", func() error {
		if now := s.collector.Totals(""); now.Queries < enough {
			return errors.New(now.String())
		}
		return nil
	})
	return s.collector.Totals(""), err
}

func (s *Shop) example(name string) string { return filepath.Join(s.Examples, name) }

// apply applies an example with the addresses of this run in it.
func (s *Shop) apply(ctx context.Context, name string) error {
	text, err := os.ReadFile(s.example(name))
	if err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	for placeholder, address := range map[string]string{
		"https://strongkeep.example:8200": s.Server.URL(),
		"postgres.example:5432":           s.db.Outside,
		"http://collector.example:8080":   s.collector.URL(),
	} {
		text = bytes.ReplaceAll(text, []byte(placeholder), []byte(address))
	}
	_, err = s.Kubectl(ctx, bytes.NewReader(text), "apply", "--server-side", "-f", "-")
	return err
}

// published is who the vault lets readers log in as. The password is a canary.
func (s *Shop) published(ctx context.Context) (user, password string, err error) {
	var answer struct {
		Data struct{ Username, Password string }
	}
	if err := s.Server.Read(ctx, &answer, "", "read", creds); err != nil {
		return "", "", err
	}
	s.Canary("the password of "+answer.Data.Username, answer.Data.Password)
	return answer.Data.Username, answer.Data.Password, nil
}

// until looks until f has nothing to complain of.
func until(ctx context.Context, what string, f func() error) error {
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last: %s", what, ctx.Err(), strings.TrimSpace(err.Error()))
		}
	}
}
