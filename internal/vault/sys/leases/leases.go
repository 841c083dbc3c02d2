package leases

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

var (
	leaseIDField = engine.Field{Name: "lease_id", Type: engine.String, Help: "the lease, as it was given with the secret"}
	syncField    = engine.Field{Name: "sync", Type: engine.Bool, Help: "answer when it is done (204), not when it is queued (202)"}
	limitField   = engine.Field{Name: "limit", Type: engine.Int, Help: "at most so many"}
)

// Config of Routes. All fields are set.
type Config struct {
	Mounts *mount.Registry
	Leases *lease.Manager
	Tokens *token.Manager
	// RevokeTokens ends the tokens that were made at a path or below it, and says how many.
	RevokeTokens func(ctx context.Context, ns engine.Namespace, path string) (int, error)
	Now          func() time.Time
}

// Routes are those below sys/. The names that older clients use are the same
// routes: what policy says of sys/leases/revoke holds for sys/revoke as well
// (class of CVE-2026-45808).
func Routes(c Config) []engine.Route {
	all := append(c.listRoutes(), c.lookupRoutes()...)
	all = append(all, both("renew", engine.Route{
		Summary: "Let a lease go on.",
		Fields: []engine.Field{leaseIDField,
			{Name: "increment", Type: engine.Duration, Help: "how long from now; a wish, capped by role and mount"}},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: c.renew},
	}, "", "/{id...}")...)
	all = append(all, both("revoke", engine.Route{
		Summary: "End a lease.", Fields: []engine.Field{leaseIDField, syncField},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: c.revoke},
	}, "", "/{id...}")...)
	all = append(all, both("revoke-prefix", engine.Route{
		Sudo: true, Summary: "End all leases below a path; below auth/, the tokens of logins.", Fields: []engine.Field{syncField},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: c.revokePrefix},
	}, "/{prefix...}")...)
	return append(all, both("revoke-force", engine.Route{
		Sudo:     true,
		Summary:  "End all leases below a path, and give up those that their engine cannot end: what they stand for may live on.",
		Handlers: map[engine.Operation]engine.Handler{engine.Update: c.revokeForce},
	}, "/{prefix...}")...)
}

// both returns route under its name, with each of the endings, and under the
// name that it had of old.
func both(name string, route engine.Route, endings ...string) (all []engine.Route) {
	for _, ending := range endings {
		route.Pattern, route.Canonical = "leases/"+name+ending, nil
		all = append(all, route)
		route.Pattern, route.Canonical = name+ending, present
		all = append(all, route)
	}
	return all
}

// present is what an old name means.
func present(path string) string { return "leases/" + path }

func (c Config) lookupRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "leases/lookup", Summary: "What is known of a lease; LIST: the mounts that leases are of (sudo).",
			Fields:   []engine.Field{leaseIDField},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: c.lookup, engine.List: c.list},
		},
		{
			Pattern: "leases/lookup/{prefix...}", Sudo: true, ReadOnly: true, Summary: "The leases and folders of leases below a path.",
			Fields: []engine.Field{
				{Name: "after", Type: engine.String, Help: "go on behind this name of the page before"}, limitField,
			},
			Handlers: map[engine.Operation]engine.Handler{engine.List: c.list},
		},
	}
}

// listRoutes are about leases as a whole.
func (c Config) listRoutes() []engine.Route {
	kind := engine.Field{Name: "type", Type: engine.String, Help: "irrevocable: leases that could not be ended"}
	return []engine.Route{
		{
			Pattern: "leases", Sudo: true, ReadOnly: true, Summary: "The irrevocable leases and why they are.",
			Fields:   []engine.Field{kind, limitField},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.irrevocable, engine.List: c.irrevocable},
		},
		{
			Pattern: "leases/count", Sudo: true, ReadOnly: true, Summary: "How many leases or tokens there are, and who made them.",
			Fields: []engine.Field{
				{Name: "type", Type: engine.String, Help: "irrevocable, tokens, or leases", Default: "leases"},
				{Name: "group_by", Type: engine.String, Help: "mount, role, path, entity or token; of tokens also policy"}, limitField,
			},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.countLeases},
		},
		{
			Pattern: "leases/hold", Sudo: true, Summary: "End and rotate nothing by itself, until sys/leases/resume; GET: whether it is so.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: c.hold(true), engine.Read: c.held},
		},
		{
			Pattern: "leases/resume", Sudo: true, Summary: "Let leases end by themselves again.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: c.hold(false)},
		},
		{
			Pattern: "leases/tidy", Sudo: true, Summary: "Try irrevocable leases again, now.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: c.tidy},
		},
	}
}

// leaseID takes the lease from the path or the body.
func leaseID(req *engine.Request) (string, error) {
	d := req.Decode()
	id := d.String("lease_id", d.String("url_lease_id", ""))
	if err := d.Err(); err != nil {
		return "", err
	}
	if fromPath := req.Params["id"]; fromPath != "" {
		id = fromPath
	}
	if id == "" {
		return "", errs.New(errs.Invalid, "lease_id must be specified")
	}
	return id, nil
}

func (c Config) lookup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	id, err := leaseID(req)
	if err != nil {
		return nil, err
	}
	l, err := c.Leases.Find(ctx, tx, req.Namespace, id)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, errs.New(errs.Invalid, "invalid lease")
	}
	data := map[string]any{
		"id": l.ID, "path": l.Path, "issue_time": l.Issued.Format(time.RFC3339Nano), "expire_time": l.Expires.Format(time.RFC3339Nano),
		"last_renewal": nil, "renewable": l.Renewable, "ttl": int64(l.Expires.Sub(c.Now()).Seconds()),
	}
	if !l.LastRenewal.IsZero() {
		data["last_renewal"] = l.LastRenewal.Format(time.RFC3339Nano)
	}
	return respond(data)
}

// maxListed bounds a list without a limit.
const maxListed = 10_000

func (c Config) list(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if !req.Caller.Sudo { // the route of a lookup, which shares its path, asks for none
		return nil, errs.New(errs.Denied, "1 error occurred:\n\t* permission denied\n\n")
	}
	d := req.Decode()
	after, limit := d.String("after", ""), d.Int("limit", maxListed)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	prefix := req.Params["prefix"]
	if prefix != "" && prefix[len(prefix)-1] != '/' {
		prefix += "/"
	}
	names, err := c.Leases.List(ctx, tx, req.Namespace, prefix, lease.Page{After: after, Limit: int(limit)})
	if err != nil {
		return nil, err
	}
	if names == nil {
		names = []string{}
	}
	res, err := respond(map[string]any{"keys": names})
	if err == nil && len(names) == maxListed {
		res.Warnings = []string{"there may be more: ask for those after the last one (after=NAME)"}
	}
	return res, err
}

func (c Config) renew(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	id, err := leaseID(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	increment := d.Duration("increment", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	l, err := c.Leases.Find(ctx, tx, req.Namespace, id)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, errs.New(errs.Invalid, "lease not found")
	}
	renewed, warnings, err := c.Leases.Renew(ctx, tx, l, increment)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Lease: renewed, Warnings: warnings}, nil
}

func (c Config) revoke(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	id, err := leaseID(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	wait := d.Bool("sync", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if wait {
		return nil, c.Leases.RevokeNow(ctx, req.Namespace, id)
	}
	return accepted(), c.Leases.Revoke(ctx, tx, req.Namespace, id)
}

// accepted says that it is queued.
func accepted(warnings ...string) *engine.Response {
	return &engine.Response{Status: 202, Warnings: warnings}
}

func (c Config) revokePrefix(ctx context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	wait := d.Bool("sync", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	prefix := req.Params["prefix"]
	if isAuth(prefix) {
		return c.revokeTokens(ctx, req.Namespace, prefix)
	}
	if wait {
		return nil, c.Leases.EndPrefix(ctx, req.Namespace, prefix, false)
	}
	_, err := c.Leases.RevokePrefix(ctx, req.Namespace, prefix)
	if err != nil {
		return nil, err
	}
	return accepted(), nil
}

// isAuth reports whether what is below prefix are logins: their leases are tokens.
func isAuth(prefix string) bool { return prefix == "auth" || strings.HasPrefix(prefix, "auth/") }

// revokeTokens ends the tokens of logins below a path. It is done when it
// answers: nothing of it has to be tried again later.
func (c Config) revokeTokens(ctx context.Context, ns engine.Namespace, prefix string) (*engine.Response, error) {
	n, err := c.RevokeTokens(ctx, ns, prefix)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%d tokens are ended, and others are left; ask again to go on: %w", n, err)
	}
	return nil, nil
}

func (c Config) revokeForce(ctx context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	if isAuth(req.Params["prefix"]) {
		return c.revokeTokens(ctx, req.Namespace, req.Params["prefix"])
	}
	return nil, c.Leases.EndPrefix(ctx, req.Namespace, req.Params["prefix"], true)
}

func (c Config) irrevocable(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	kind, limit := d.String("type", "irrevocable"), d.Int("limit", maxListed)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if kind != "irrevocable" {
		return nil, errs.New(errs.Invalid, "field \"type\" must be \"irrevocable\"; live leases are listed below sys/leases/lookup/")
	}
	found := []any{}
	for _, m := range c.leasers(req.Namespace) {
		err := c.Leases.Irrevocable(ctx, tx, req.Namespace, m.ID, func(l *lease.Record) bool {
			found = append(found, map[string]any{
				"lease_id": l.ID, "mount_id": l.MountID, "mount_accessor": m.Accessor, "error": l.LastError, "attempts": l.Attempts,
				"role": l.Role, "expire_time": l.Expires.Format(time.RFC3339Nano), "next_attempt": l.Due.Format(time.RFC3339Nano),
			})
			return len(found) < int(limit)
		})
		if err != nil {
			return nil, err
		}
		if len(found) >= int(limit) {
			break
		}
	}
	return respond(map[string]any{"lease_count": len(found), "leases": found})
}

func (c Config) tidy(ctx context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	for _, m := range c.leasers(req.Namespace) {
		if _, err := c.Leases.Tidy(ctx, m.ID); err != nil {
			return nil, err
		}
	}
	return accepted("Tidy operation successfully started. Any information from the operation will be printed to the server's logs."), nil
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
