package connection

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Connection is a configured database, stored at config/NAME. What Load returns
// is shared and must not be changed: change a copy, and Save that.
type Connection struct {
	ID              string // drawn anew by every change, so that nobody uses what was open before
	Plugin          string
	AllowedRoles    []string
	PasswordPolicy  string                    `json:",omitempty"`
	Template        string                    `json:",omitempty"` // of user names; "" = the kind's own
	RootStatements  []string                  `json:",omitempty"`
	Verify          bool                      // was the connection verified when it was written
	Username        string                    `json:",omitempty"` // what rotates, and stands for {{username}}
	Details         map[string]jsontext.Value `json:",omitempty"` // everything else of the kind, the URL first
	DisableRotation bool                      `json:",omitempty"`
	rotation.State                            // of the connection's own user

	Name string `json:"-"`
}

// Prefix is where connections are stored, each below its name.
const Prefix = "config/"

// Connections that a pool holds unless it is said otherwise.
const defaultConnections = 4

// maxConnections bounds max_open_connections.
const maxConnections = 500

// Load reads a connection; nil if it is not configured.
func Load(ctx context.Context, tx engine.Tx, name string) (*Connection, error) {
	e, err := tx.Get(ctx, Prefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, func(b []byte) (*Connection, error) {
		c := &Connection{Name: name}
		if json.Unmarshal(b, c) != nil {
			return nil, errs.Newf(errs.Internal, "decoding the connection %q: the stored entry is damaged or of a newer format", name)
		}
		return c, nil
	})
}

// Save stores the connection.
func (c *Connection) Save(tx engine.Tx) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the connection %q: %w", c.Name, err)
	}
	tx.Put(Prefix+c.Name, raw)
	return nil
}

// Unknown is the error of kind Invalid for a connection that is not configured.
func Unknown(name string) error {
	return errs.Newf(errs.Invalid, "failed to find entry for connection with name: %q", name)
}

func (c *Connection) body() engine.Body { return engine.NewBody(c.Details) }

// URL is the connection_url as it was given, with a literal password perhaps.
func (c *Connection) URL() string {
	d := c.body().Decode()
	return d.String("connection_url", "")
}

// Pool reads the sizes of the pool. Kind Invalid: one is not a number.
func (c *Connection) Pool() (driver.Pool, error) {
	d := c.body().Decode()
	open := d.Int("max_open_connections", defaultConnections)
	if open == 0 {
		open = defaultConnections
	}
	if open < 0 || open > maxConnections {
		open = maxConnections
	}
	idle := d.Int("max_idle_connections", open)
	if idle == 0 || idle > open {
		idle = open
	}
	life := d.Duration("max_connection_lifetime", 0)
	if err := d.Err(); err != nil {
		return driver.Pool{}, err
	}
	return driver.Pool{MaxOpen: int(open), MaxIdle: int(max(idle, 0)), MaxLifetime: max(life, 0)}, nil
}

// Allows reports whether a role may use the connection.
func (c *Connection) Allows(role string) bool {
	return slices.ContainsFunc(c.AllowedRoles, func(pattern string) bool { return glob(pattern, role) })
}

// glob matches a pattern in which * stands for anything.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	last := len(parts) - 1
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, part := range parts[1:last] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return strings.HasSuffix(s, parts[last])
}

var poolFields = []engine.Field{
	{Name: "connection_url", Help: "Where the database is, with {{username}} and {{password}} for the two fields of those names."},
	{Name: "max_open_connections", Type: engine.Int, Help: "Connections at most.", Default: "4"},
	{Name: "max_idle_connections", Type: engine.Int, Help: "Connections kept while unused.", Default: "max_open_connections"},
	{Name: "max_connection_lifetime", Type: engine.Duration, Help: "How long a connection is used.", Default: "0, for good"},
}

// Details returns the fields that are details of a kind's connections.
func Details(t *driver.Type) []engine.Field {
	return append(slices.Clone(poolFields), t.Fields...)
}

// Merge sets the details that a body has; null removes one. The others stay.
func (c *Connection) Merge(body engine.Body, t *driver.Type) {
	all := map[string]jsontext.Value{}
	for _, f := range Details(t) {
		switch {
		case body.Has(f.Name):
			all[f.Name] = body.Field(f.Name)
		case c.Details[f.Name] != nil && !body.IsNull(f.Name):
			all[f.Name] = c.Details[f.Name]
		}
	}
	c.Details = all
}
