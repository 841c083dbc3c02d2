package readers

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Config of Readers. All fields are set, but for Shared.
type Config struct {
	Audit      *audit.Broker
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Tokens     *token.Manager
	Leases     *lease.Manager
	Reads      Reader // the whole store, outside of transactions
	// Shared: other nodes may serve the same store, and have logs of their own.
	Shared bool
}

// Reader reads the store.
type Reader = token.Reader

// Readers answers who has read a path. It is safe for concurrent use.
type Readers struct {
	cfg Config
	log log
}

// New returns Readers.
func New(cfg Config) *Readers {
	salt := make([]byte, 32)
	rand.Read(salt)
	return &Readers{cfg: cfg, log: log{turn: make(chan struct{}, 1), heard: map[question]*heard{}, salt: salt}}
}

// Routes are those below sys/.
func (x *Readers) Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "readers/{path...}", Summary: "Who has read a path since a time.",
		Help: "By the audit log, as far as it can be read again, and by leases that live. What cannot be known is in incomplete. Whoever may ask about a path learns who reads it, and nothing of what is there.",
		Fields: []engine.Field{
			{Name: "since", Type: engine.String, Help: "RFC 3339; what was read before does not count"},
			{Name: "own_accessors", Type: engine.Strings, Help: "of tokens that are to be told apart as the caller's own; the one it asks with always is"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: x.answer},
	}}
}

// maxOwn is how many accessors a caller may name.
const maxOwn = 1000

// client is a token that has read the path.
type client struct {
	Accessor    string     `json:"accessor,omitempty"` // as the audit log has it, hashed; none of a batch token
	DisplayName string     `json:"display_name,omitempty"`
	EntityID    string     `json:"entity_id,omitempty"`
	EntityName  string     `json:"entity_name,omitempty"`
	AuthPath    string     `json:"auth_path,omitempty"` // where it logged in; of a token that lives
	Role        string     `json:"role,omitempty"`
	Remote      string     `json:"remote_address,omitempty"` // of the last read
	TokenType   string     `json:"token_type,omitempty"`
	First       *time.Time `json:"first,omitempty"`
	Last        *time.Time `json:"last,omitempty"`
	Count       int64      `json:"count"`
	Version     int64      `json:"version,omitempty"` // of the last read, where what is read has one
	Live        bool       `json:"live"`              // the token can be used
	Expires     *time.Time `json:"expires,omitempty"` // of a token that lives; none: never
	Own         bool       `json:"own"`
	Leased      bool       `json:"leased"` // the last read gave a lease
	Leases      int        `json:"leases"` // that live
	OldestLease *time.Time `json:"oldest_lease,omitempty"`
}

// told is the answer.
type told struct {
	Path       string    `json:"path"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"` // what was answered before is counted
	Complete   bool      `json:"complete"`
	Incomplete []string  `json:"incomplete"`
	Clients    []*client `json:"clients"`
}

func (x *Readers) answer(ctx context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text, own := d.String("since", ""), d.Strings("own_accessors")
	if err := d.Err(); err != nil {
		return nil, err
	}
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, errs.New(errs.Invalid, "since must be a time as in RFC 3339, for example 2026-03-01T10:00:00Z")
	}
	if len(own) > maxOwn {
		return nil, errs.Newf(errs.Invalid, "own_accessors has %d accessors; the most is %d", len(own), maxOwn)
	}
	ns, path := x.cfg.Namespaces.Table().Find(req.Namespace.Path + strings.Trim(req.Params["path"], "/"))
	m, rest, ok := x.cfg.Mounts.Table().Find(ns, path)
	if !ok || rest == "" {
		return nil, errs.New(errs.Invalid, "the path must be one that is read, with its mount, for example sys/readers/secret/data/my-app")
	}
	q := question{namespace: ns.Path, path: path, since: since.UTC()}
	if err := x.log.take(ctx); err != nil {
		return nil, err
	}
	defer x.log.give()
	seen, incomplete, err := x.log.search(ctx, x.cfg.Audit, q, versionsOf(m, rest))
	if err != nil {
		return nil, err
	}
	if x.cfg.Shared {
		incomplete = append(incomplete, "other nodes that serve this store have audit logs of their own, which this one does not read")
	}
	p := &people{Readers: x, ns: ns, hash: seen.hash, caller: &req.Caller, now: req.Time, byAccessor: map[string]*client{}, own: map[string]bool{}}
	for _, accessor := range append(own, req.Caller.Accessor) {
		p.own[p.hash(accessor)] = true
	}
	clients, more, err := p.all(ctx, m, path, seen)
	if err != nil {
		return nil, err
	}
	incomplete = append(incomplete, more...)
	data, err := engine.JSON(told{
		Path: path, Since: q.since, Until: req.Time, Complete: len(incomplete) == 0, Incomplete: append([]string{}, incomplete...), Clients: clients,
	})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data}, nil
}

// people finds out who the tokens are.
type people struct {
	*Readers
	ns         engine.Namespace
	hash       func(accessor string) string
	caller     *engine.Caller
	now        time.Time
	own        map[string]bool // by hash
	byAccessor map[string]*client
}

// all returns the clients of path, the latest first.
func (p *people) all(ctx context.Context, m *mount.Mount, path string, seen *heard) ([]*client, []string, error) {
	out := []*client{}
	for _, r := range seen.tokens {
		if r.last.Before(seen.since) {
			continue
		}
		c := &client{
			Accessor: r.accessor, DisplayName: r.name, EntityID: r.entity, Role: r.role, Remote: r.remote, TokenType: r.kind,
			First: &r.first, Last: &r.last, Count: r.count, Version: r.version, Leased: r.leased, Own: p.owns(r),
			Live: r.accessor == "" && r.ends.After(p.now),
		}
		if c.Live {
			c.Expires = &r.ends
		}
		if c.Accessor != "" {
			p.byAccessor[c.Accessor] = c
		}
		out = append(out, c)
	}
	made, more, err := p.leases(ctx, m, path)
	if err != nil {
		return nil, nil, err
	}
	out = append(out, made...)
	if err := p.tokens(ctx, seen); err != nil {
		return nil, nil, err
	}
	if err := p.entities(ctx, out); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(out, func(a, b *client) int {
		return cmp.Or(b.at().Compare(a.at()), cmp.Compare(a.DisplayName, b.DisplayName), cmp.Compare(a.Accessor, b.Accessor))
	})
	return out, more, nil
}

// owns reports whether the caller says that a token is its own. A batch token, which
// has no accessor, is the caller's if that asks by one of the same identity.
func (p *people) owns(r *reads) bool {
	if r.accessor != "" {
		return p.own[r.accessor]
	}
	return p.caller.Accessor == "" && p.caller.EntityID == r.entity && p.caller.DisplayName == r.name
}

func (c *client) at() time.Time {
	if c.Last == nil {
		return time.Time{}
	}
	return *c.Last
}

// maxLeases is how many leases of a path are looked at.
const maxLeases = 10_000

// leases counts those that live of path, and returns clients that only they tell of.
func (p *people) leases(ctx context.Context, m *mount.Mount, path string) (made []*client, incomplete []string, err error) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	names, err := p.cfg.Leases.List(ctx, p.cfg.Reads, p.ns, prefix, lease.Page{Limit: maxLeases + 1})
	if err != nil {
		return nil, nil, err
	}
	if len(names) > maxLeases {
		names = names[:maxLeases]
		incomplete = append(incomplete, "there are more leases than are looked at")
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			continue // of a path below
		}
		l, err := p.cfg.Leases.Find(ctx, p.cfg.Reads, p.ns, prefix+name)
		if err != nil {
			return nil, nil, err
		}
		if l == nil || l.MountID != m.ID || !l.Live(p.now) {
			continue
		}
		accessor := p.hash(l.Accessor)
		c := p.byAccessor[accessor]
		if c == nil {
			c = &client{Accessor: accessor, DisplayName: l.DisplayName, EntityID: l.EntityID, Leased: true, Own: p.own[accessor]}
			p.byAccessor[accessor] = c
			made = append(made, c)
		}
		if c.Leases++; c.OldestLease == nil || l.Issued.Before(*c.OldestLease) {
			c.OldestLease = &l.Issued
		}
	}
	return made, incomplete, nil
}

// chain returns the IDs of the namespaces whose tokens can reach p.ns: its own and
// those above it, as the token manager names them.
func (p *people) chain() (ids []string) {
	t := p.cfg.Namespaces.Table()
	for path := p.ns.Path; path != ""; {
		if e := t.ByPath(path); e != nil {
			ids = append(ids, e.ID)
		}
		cut := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
		path = path[:cut+1]
	}
	return append(ids, "")
}

// tokens finds out which tokens live. The log has only hashes of their accessors,
// so that those of all that live are hashed until none is looked for any more;
// which are whose, and which are gone for good, is remembered in seen.
func (p *people) tokens(ctx context.Context, seen *heard) error {
	wanted := map[string]bool{}
	for hash := range p.byAccessor {
		if seen.known[hash] == "" && !seen.gone[hash] {
			wanted[hash] = true
		}
	}
	for _, id := range p.chain() {
		if err := p.resolve(ctx, id, wanted, seen); err != nil {
			return err
		}
	}
	for hash := range wanted {
		seen.gone[hash] = true
	}
	for hash, c := range p.byAccessor {
		accessor := seen.known[hash]
		if accessor == "" {
			continue
		}
		e, err := p.cfg.Tokens.LookupAccessor(ctx, p.cfg.Reads, accessor)
		if errs.Is(err, errs.Denied) { // it has ended
			continue
		}
		if err != nil {
			return err
		}
		c.Live, c.AuthPath, c.EntityID, c.TokenType = true, e.Path, cmp.Or(c.EntityID, e.EntityID), e.Type.String()
		c.Role = cmp.Or(c.Role, e.Role, e.Meta["role"], e.Meta["role_name"])
		if !e.Expires.IsZero() {
			c.Expires = &e.Expires
		}
	}
	return nil
}

// resolve looks for wanted hashes among the accessors of a namespace, a page at a
// time, and takes what it finds out of wanted.
func (p *people) resolve(ctx context.Context, namespace string, wanted map[string]bool, seen *heard) error {
	const page = 512
	for after := ""; len(wanted) > 0; {
		accessors, err := p.cfg.Tokens.ListAccessors(ctx, p.cfg.Reads, namespace, after, page)
		if err != nil || len(accessors) == 0 {
			return err
		}
		for _, a := range accessors {
			if hash := p.hash(a); wanted[hash] {
				seen.known[hash] = a
				delete(wanted, hash)
			}
		}
		if err := ctx.Err(); err != nil {
			return errs.Newf(errs.Unavailable, "looking for the tokens: %w", err)
		}
		after = accessors[len(accessors)-1]
	}
	return nil
}

// entities fills in names.
func (p *people) entities(ctx context.Context, all []*client) error {
	names := map[string]string{}
	for _, c := range all {
		if c.EntityID == "" {
			continue
		}
		name, known := names[c.EntityID]
		for _, id := range p.chain() {
			if known {
				break
			}
			e, err := identity.In(p.cfg.Reads, id).Entity(ctx, c.EntityID)
			if err != nil {
				return err
			}
			if e != nil {
				name, known = e.Name, true
			}
		}
		names[c.EntityID], c.EntityName = name, name
	}
	return nil
}
