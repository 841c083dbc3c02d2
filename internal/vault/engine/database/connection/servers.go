package connection

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// Servers knows the kinds of databases, and keeps what one mount has open. It may
// be used concurrently.
type Servers struct {
	types map[string]*driver.Type // by every name
	pools *pools
}

// NewServers returns servers of these kinds. Close ends them.
func NewServers(types []driver.Type) *Servers {
	byName := map[string]*driver.Type{}
	for _, kind := range types {
		for _, name := range kind.Names {
			byName[name] = &kind
		}
	}
	return &Servers{types: byName, pools: newPools()}
}

// Close closes all that is open and waits. Calls under way end by their own timeouts.
func (s *Servers) Close() { s.pools.close() }

// Drop closes what is open for a connection, without waiting.
func (s *Servers) Drop(name string) { s.pools.drop(name) }

// Kind returns the kind of database that plugin_name says. Kind of errors: Invalid.
func (s *Servers) Kind(plugin string) (*driver.Type, error) {
	if t := s.types[plugin]; t != nil {
		return t, nil
	}
	return nil, errs.Newf(errs.Invalid, "plugin_name must be one of the databases built in: %s", strings.Join(s.Kinds(), ", "))
}

// Kinds returns the preferred names of the databases, sorted.
func (s *Servers) Kinds() []string {
	var names []string
	for name, t := range s.types {
		if name == t.Names[0] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Fields returns the details of all kinds, each once.
func (s *Servers) Fields() []engine.Field {
	fields, seen := slices.Clone(poolFields), map[string]bool{}
	for _, f := range fields {
		seen[f.Name] = true
	}
	for _, name := range s.Kinds() {
		for _, f := range s.types[name].Fields {
			if !seen[f.Name] {
				seen[f.Name] = true
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// At returns the server of a connection, which must not change while it is used,
// but for its passwords.
func (s *Servers) At(c *Connection) *Server { return &Server{servers: s, conn: c} }

// Server is a database server as a connection is configured.
type Server struct {
	servers *Servers
	conn    *Connection
}

var _ rotation.Server = (*Server)(nil)

// Version implements rotation.Server.
func (s *Server) Version() string { return s.conn.ID }

// Use implements rotation.Server. While the password of the connection's own user
// is changing, or may have been, the others are tried where the one in force is refused.
func (s *Server) Use(ctx context.Context, timeout time.Duration, f func(context.Context, driver.Database) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.with(ctx, s.conn.Password, f)
	for _, other := range s.conn.Others() {
		if !driver.IsPassword(err) {
			break
		}
		err = s.with(ctx, other, f)
	}
	return err
}

func (s *Server) with(ctx context.Context, password string, f func(context.Context, driver.Database) error) error {
	open := func() (driver.Database, error) { return s.Open(s.conn.Username, password) }
	p, err := s.servers.pools.get(s.conn, password, open)
	if err != nil {
		return engine.Unmade(err) // the database was not asked
	}
	defer s.servers.pools.put(p)
	return f(ctx, p.db)
}

// Open implements rotation.Server.
func (s *Server) Open(username, password string) (driver.Database, error) {
	kind, err := s.servers.Kind(s.conn.Plugin)
	if err != nil {
		return nil, err
	}
	conf, err := s.config(username, password)
	if err != nil {
		return nil, err
	}
	return kind.Open(conf)
}

func (s *Server) config(username, password string) (driver.Config, error) {
	pool, err := s.conn.Pool()
	return driver.Config{
		URL: s.conn.URL(), Username: username, Password: redact.FromString(password), Details: s.conn.body(), Pool: pool,
	}, err
}

// Where says where the connection's own user logs in, and who it is. Kind Invalid:
// the configuration cannot be right.
func (s *Server) Where() (driver.Where, error) {
	kind, err := s.servers.Kind(s.conn.Plugin)
	if err != nil {
		return driver.Where{}, err
	}
	conf, err := s.config(s.conn.Username, s.conn.Password)
	if err != nil {
		return driver.Where{}, err
	}
	return kind.Where(conf)
}

// Login implements rotation.Server, on a connection of its own.
func (s *Server) Login(ctx context.Context, username, password string) error {
	db, err := s.Open(username, password)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping(ctx)
}

// Reset implements rotation.Server.
func (s *Server) Reset() { s.servers.Drop(s.conn.Name) }

// Missing is the server of a connection that is not configured, by its name.
type Missing string

var _ rotation.Server = Missing("")

// Version implements rotation.Server.
func (m Missing) Version() string { return "" }

// Use implements rotation.Server.
func (m Missing) Use(context.Context, time.Duration, func(context.Context, driver.Database) error) error {
	return Unknown(string(m))
}

// Open implements rotation.Server.
func (m Missing) Open(_, _ string) (driver.Database, error) { return nil, Unknown(string(m)) }

// Login implements rotation.Server.
func (m Missing) Login(context.Context, string, string) error { return Unknown(string(m)) }

// Reset implements rotation.Server.
func (m Missing) Reset() {}
