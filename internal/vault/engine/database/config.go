package database

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/username"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// connection is a configured database, stored at config/NAME.
type connection struct {
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
	rotation

	name string
}

const configPrefix = "config/"

// Connections that a pool holds unless it is said otherwise.
const defaultConnections = 4

// maxConnections bounds max_open_connections.
const maxConnections = 500

func loadConnection(ctx context.Context, tx engine.Tx, name string) (*connection, error) {
	e, err := tx.Get(ctx, configPrefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, func(b []byte) (*connection, error) {
		c := &connection{name: name}
		if json.Unmarshal(b, c) != nil {
			return nil, errs.Newf(errs.Internal, "decoding the connection %q: the stored entry is damaged or of a newer format", name)
		}
		return c, nil
	})
}

// save stores a connection that the caller has changed a copy of.
func (c *connection) save(tx engine.Tx) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the connection %q: %w", c.name, err)
	}
	tx.Put(configPrefix+c.name, raw)
	return nil
}

func (c *connection) body() engine.Body { return engine.NewBody(c.Details) }

func (c *connection) url() string {
	d := c.body().Decode()
	return d.String("connection_url", "")
}

// pool reads the sizes of the pool.
func (c *connection) pool() (driver.Pool, error) {
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

// allows reports whether a role may use the connection.
func (c *connection) allows(role string) bool {
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

func (e *Engine) configFields() []engine.Field {
	fields := append([]engine.Field{
		{Name: "plugin_name", Help: "The kind of database: " + strings.Join(e.kinds(), ", ") + "."},
		{Name: "plugin_version", Help: "Ignored: the databases are built in."},
		{Name: "allowed_roles", Type: engine.Strings, Help: "Roles that may use the connection, with * for anything.", Default: "none"},
		{Name: "verify_connection", Type: engine.Bool, Help: "Log in before the configuration is stored.", Default: "true"},
		{Name: "username", Help: "Who the vault logs in as."},
		{Name: "password", Secret: true, Help: "Its password, never shown again."},
		{Name: "root_rotation_statements", Type: engine.Strings, Help: "Statements that change the password of that user."},
		{Name: "password_policy", Help: "The policy that passwords are made by.", Default: "the vault's own"},
		{Name: "username_template", Help: "The template of names of dynamic users."},
		{Name: "disable_automated_rotation", Type: engine.Bool, Help: "Stop the rotation by period or schedule."},
	}, append(rotationFields(), poolFields...)...)
	seen := map[string]bool{}
	for _, f := range fields {
		seen[f.Name] = true
	}
	for _, name := range e.kinds() {
		for _, f := range e.types[name].Fields {
			if !seen[f.Name] {
				seen[f.Name] = true
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// kinds returns the preferred names of the databases, sorted.
func (e *Engine) kinds() []string {
	var names []string
	for name, t := range e.types {
		if name == t.Names[0] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// details returns the fields that are details of a kind's connections.
func details(t *driver.Type) []engine.Field {
	return append(slices.Clone(poolFields), t.Fields...)
}

// writeConfig makes or changes a connection; what a request leaves out stays.
func (e *Engine) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	old, err := loadConnection(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	c := &connection{name: name, Verify: true}
	if old != nil {
		*c = *old
	}
	if c.ID, err = e.id(); err != nil {
		return nil, err
	}
	if err := e.decodeConnection(c, req); err != nil {
		return nil, err
	}
	if err := c.rotation.decode(req); err != nil {
		return nil, err
	}
	c.Off = c.DisableRotation
	if _, err := e.open(c, c.Username, c.Password); err != nil {
		return nil, errs.Newf(errs.Invalid, "error creating database object: %w", err)
	}
	if c.Verify {
		if err := e.verify(ctx, c); err != nil {
			return nil, err
		}
	}
	was := time.Time{}
	if old != nil {
		was = old.Due
	}
	c.reschedule(req.Time)
	requeue(tx, subject{root: true, name: name}, was, c.Due)
	emit(tx, req, "config-write", name)
	return &engine.Response{Warnings: c.warnings(), After: func(context.Context) error {
		e.pools.drop(name)
		e.cfg.Wake()
		return nil
	}}, c.save(tx)
}

// verify logs in once, on a connection of its own.
func (e *Engine) verify(ctx context.Context, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	err := e.login(ctx, c, c.Username, c.Password)
	if c.Pending != "" && isPassword(err) {
		err = e.login(ctx, c, c.Username, c.Pending)
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "error creating database object: error verifying connection: %w", err)
	}
	return nil
}

// decodeConnection applies a request to a connection.
func (e *Engine) decodeConnection(c *connection, req *engine.Request) error {
	d := req.Decode()
	c.Plugin = d.String("plugin_name", c.Plugin)
	c.PasswordPolicy = d.String("password_policy", c.PasswordPolicy)
	c.Template = d.String("username_template", c.Template)
	c.Verify = d.Bool("verify_connection", c.Verify)
	c.DisableRotation = d.Bool("disable_automated_rotation", c.DisableRotation)
	c.Username = d.String("username", c.Username)
	if d.Has("allowed_roles") {
		c.AllowedRoles = d.Strings("allowed_roles")
	}
	if d.Has("password") {
		c.Password, c.Pending = d.String("password", ""), ""
	}
	if err := d.Err(); err != nil {
		return err
	}
	var err error
	if c.RootStatements, err = statements(req, c.RootStatements, "root_rotation_statements", "root_credentials_rotate_statements"); err != nil {
		return err
	}
	if c.Plugin == "" {
		return errs.New(errs.Invalid, "empty plugin name")
	}
	kind, err := e.kind(c.Plugin)
	if err != nil {
		return err
	}
	if c.Template != "" {
		if err := username.Template(c.Template).Check(e.source(req.Time)); err != nil {
			return err
		}
	}
	c.Details = mergeDetails(c.Details, req.Body, details(kind))
	_, err = c.pool()
	return err
}

// mergeDetails returns the details with those that a body has.
func mergeDetails(old map[string]jsontext.Value, body engine.Body, fields []engine.Field) map[string]jsontext.Value {
	all := map[string]jsontext.Value{}
	for _, f := range fields {
		switch {
		case body.Has(f.Name):
			all[f.Name] = body.Field(f.Name)
		case old[f.Name] != nil && !body.IsNull(f.Name):
			all[f.Name] = old[f.Name]
		}
	}
	return all
}

// id draws a name that nothing else has.
func (e *Engine) id() (string, error) {
	raw := make([]byte, 12)
	if _, err := io.ReadFull(e.cfg.Random, raw); err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

func (e *Engine) source(now time.Time) username.Source {
	return username.Source{Random: e.cfg.Random, Now: now}
}

// warnings tells of what is allowed and yet better done otherwise.
func (c *connection) warnings() []string {
	if maskURL(c.url()) != c.url() {
		return []string{"Password found in connection_url, use a templated url to enable root rotation and prevent read access to password information."}
	}
	return nil
}

// readConfig shows a connection, without anything secret.
func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := loadConnection(ctx, tx, req.Params["name"])
	if err != nil || c == nil {
		return nil, err
	}
	shown := engine.NewObject()
	if c.Username != "" {
		shown = shown.Str("username", c.Username)
	}
	if c.Template != "" {
		shown = shown.Str("username_template", c.Template)
	}
	kind, err := e.kind(c.Plugin)
	if err != nil {
		return nil, err
	}
	for _, f := range details(kind) {
		switch value := c.Details[f.Name]; {
		case value == nil || f.Secret:
		case f.Name == "connection_url":
			shown = shown.Str(f.Name, maskURL(c.url()))
		default:
			shown = shown.Raw(f.Name, value)
		}
	}
	o := engine.NewObject().
		Strs("allowed_roles", c.AllowedRoles).
		Obj("connection_details", shown).
		Str("password_policy", c.PasswordPolicy).
		Str("plugin_name", c.Plugin).
		Str("plugin_version", "").
		Strs("root_credentials_rotate_statements", c.RootStatements).
		Bool("verify_connection", c.Verify).
		Bool("disable_automated_rotation", c.DisableRotation)
	return &engine.Response{Data: c.show(o).Value()}, nil
}

// deleteConfig forgets a connection. Its roles stay, and fail until it is back.
func (e *Engine) deleteConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	c, err := loadConnection(ctx, tx, name)
	if err != nil || c == nil {
		return nil, err
	}
	requeue(tx, subject{root: true, name: name}, c.Due, time.Time{})
	tx.Delete(configPrefix + name)
	emit(tx, req, "config-delete", name)
	return e.afterDrop(name), nil
}

// reset closes a connection; the next request opens it anew.
func (e *Engine) reset(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	c, err := loadConnection(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, unknownConnection(name)
	}
	return e.afterDrop(name), nil
}

func (e *Engine) afterDrop(name string) *engine.Response {
	return &engine.Response{After: func(context.Context) error {
		e.pools.drop(name)
		return nil
	}}
}

func unknownConnection(name string) error {
	return errs.Newf(errs.Invalid, "failed to find entry for connection with name: %q", name)
}

// mysqlPassword finds the password of user:password@tcp(...), and what a list of
// key=value says.
var (
	dsnPassword = regexp.MustCompile(`^([^/:@]*):(.*)@([a-z0-9]*\()`)
	kvPassword  = regexp.MustCompile(`(?i)\b(password|sslpassword)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// maskURL hides a literal password in a connection_url.
func maskURL(text string) string {
	const templated = "{{password}}"
	mask := func(p string) string {
		if p == "" || strings.ReplaceAll(p, " ", "") == templated {
			return p
		}
		return "*****"
	}
	if m := dsnPassword.FindStringSubmatchIndex(text); m != nil {
		return text[:m[4]] + mask(text[m[4]:m[5]]) + text[m[5]:]
	}
	text = kvPassword.ReplaceAllStringFunc(text, func(s string) string {
		name, value, _ := strings.Cut(s, "=")
		return name + "=" + mask(strings.TrimSpace(value))
	})
	scheme, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndexByte(rest, '@') // the last: an unescaped one may be in the password
	if !ok || at < 0 {
		return text
	}
	user, password, has := strings.Cut(rest[:at], ":")
	if !has {
		return text
	}
	return scheme + "://" + user + ":" + mask(password) + rest[at:]
}
