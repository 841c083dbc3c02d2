package quotas

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

// Config of Routes. All fields are set.
type Config struct {
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Quotas     *quota.Book
}

// Routes are those below sys/.
func Routes(c Config) []engine.Route {
	common := []engine.Field{
		{Name: "type", Type: engine.String, Help: "taken and ignored: the path says it"},
		{Name: "path", Type: engine.String, Help: `a namespace, a mount, or a path below one, which may end in "*"; "" is all`},
		{Name: "role", Type: engine.String, Help: "logins, or leases, of this role only"},
		{Name: "inheritable", Type: engine.Bool, Help: "a quota of a namespace holds for those below it"},
	}
	rate := append([]engine.Field{
		{Name: "rate", Type: engine.String, Help: "requests of one client address in each interval; a number"},
		{Name: "interval", Type: engine.Duration, Help: "from 1s to 24h", Default: "1s"},
		{Name: "block_interval", Type: engine.Duration, Help: "who exceeded is refused for so long", Default: "0"},
	}, common...)
	leases := append([]engine.Field{{Name: "max_leases", Type: engine.Int, Help: "live leases of secrets"}}, common...)
	return append(append([]engine.Route{{
		Pattern: "quotas/config", Summary: "What holds for all rate limits.",
		Fields: []engine.Field{
			{Name: "rate_limit_exempt_paths", Type: engine.Strings, Help: "prefixes of paths that no rate limit holds for"},
			{Name: "enable_rate_limit_audit_logging", Type: engine.Bool, Help: "audit requests that were refused"},
			{Name: "enable_rate_limit_response_headers", Type: engine.Bool, Help: "say in every answer what is left"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Read: settings, engine.Update: setSettings},
	}}, c.kind(quota.RateLimit, rate, rateOf)...), c.kind(quota.LeaseCount, leases, leasesOf)...)
}

func (c Config) kind(kind quota.Kind, fields []engine.Field, fill func(*engine.Decoder, *quota.Rule)) []engine.Route {
	list := func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		names, err := quota.List(ctx, tx, kind)
		if err != nil || len(names) == 0 {
			return nil, err
		}
		return respond(map[string]any{"keys": names})
	}
	return []engine.Route{
		{
			Pattern: "quotas/" + string(kind), Summary: "The names of the quotas.", ReadOnly: true,
			Handlers: map[engine.Operation]engine.Handler{engine.List: list, engine.Read: list},
		},
		{
			Pattern: "quotas/" + string(kind) + "/{name}", Summary: "Read, write or delete one quota.", Fields: fields,
			Handlers: map[engine.Operation]engine.Handler{
				engine.Read: c.read(kind), engine.Update: c.write(kind, fill),
				engine.Delete: func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
					quota.Delete(tx, kind, req.Params["name"])
					return nil, nil
				},
			},
		},
	}
}

func rateOf(d *engine.Decoder, r *quota.Rule) {
	r.Rate = d.Float("rate", r.Rate)
	r.Interval = d.Duration("interval", max(r.Interval, time.Second))
	r.Block = d.Duration("block_interval", r.Block)
}

func leasesOf(d *engine.Decoder, r *quota.Rule) { r.MaxLeases = d.Int("max_leases", r.MaxLeases) }

func (c Config) write(kind quota.Kind, fill func(*engine.Decoder, *quota.Rule)) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		r, err := quota.Get(ctx, tx, kind, req.Params["name"])
		if err != nil {
			return nil, err
		}
		if r == nil {
			r = &quota.Rule{Kind: kind, Name: req.Params["name"]}
		}
		d := req.Decode()
		r.Path, r.Role = d.String("path", r.Path), d.String("role", r.Role)
		r.Inheritable = d.Bool("inheritable", r.Inheritable || r.Path == "")
		fill(&d, r)
		if err := d.Err(); err != nil {
			return nil, err
		}
		if err := c.fitsSomething(ctx, tx, r); err != nil {
			return nil, err
		}
		return nil, quota.Put(tx, r)
	}
}

// fitsSomething refuses a quota that could never hold.
func (c Config) fitsSomething(ctx context.Context, tx engine.Tx, r *quota.Rule) error {
	if r.Path != "" {
		namespaces, err := c.Namespaces.Fresh(ctx, tx) // it must not be deleted meanwhile
		if err != nil {
			return err
		}
		mounts, err := c.Mounts.Fresh(ctx, tx)
		if err != nil {
			return err
		}
		ns, within := namespaces.Find(strings.TrimSuffix(r.Path, "*"))
		if within == "" && !strings.HasSuffix(r.Path, "*") {
			r.Path = ns.Path
			return c.unlike(ctx, tx, r)
		}
		m, rest, ok := mounts.Find(ns, within)
		switch {
		case !ok:
			return errs.Newf(errs.Invalid, "invalid mount path %q: nothing is mounted there", r.Path)
		case rest == "" && !strings.HasSuffix(r.Path, "*"):
			r.Path = ns.Path + m.Path // with its slash
		}
		if _, leases := m.Engine.(engine.Leaser); r.Kind == quota.LeaseCount && !leases {
			return errs.Newf(errs.Invalid, "%q gives no leases that could be counted: bound logins by a rate-limit quota", m.Path)
		}
	}
	return c.unlike(ctx, tx, r)
}

// unlike refuses a quota that another says already.
func (c Config) unlike(ctx context.Context, tx engine.Tx, r *quota.Rule) error {
	names, err := quota.List(ctx, tx, r.Kind)
	if err != nil {
		return err
	}
	for _, name := range names {
		other, err := quota.Get(ctx, tx, r.Kind, name)
		if err != nil {
			return err
		}
		if other != nil && name != r.Name && other.Path == r.Path && other.Role == r.Role {
			return errs.Newf(errs.Invalid, "quota rule with similar properties exists under the name %q", name)
		}
	}
	return nil
}

func (c Config) read(kind quota.Kind) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		r, err := quota.Get(ctx, tx, kind, req.Params["name"])
		if err != nil || r == nil {
			return nil, err
		}
		data := map[string]any{"name": r.Name, "type": string(kind), "path": r.Path, "role": r.Role, "inheritable": r.Inheritable}
		if kind == quota.RateLimit {
			data["rate"], data["interval"], data["block_interval"] = r.Rate, int64(r.Interval.Seconds()), int64(r.Block.Seconds())
			return respond(data)
		}
		n, _ := c.Quotas.Usage(r.Name)
		data["max_leases"], data["counter"] = r.MaxLeases, n
		return respond(data)
	}
}

func settings(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := quota.ReadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	if s.Exempt == nil {
		s.Exempt = []string{}
	}
	return respond(s)
}

func setSettings(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	s, err := quota.ReadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	s.AuditRefused = d.Bool("enable_rate_limit_audit_logging", s.AuditRefused)
	s.Headers = d.Bool("enable_rate_limit_response_headers", s.Headers)
	if d.Has("rate_limit_exempt_paths") {
		s.Exempt = d.Strings("rate_limit_exempt_paths")
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return nil, quota.PutSettings(tx, s)
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
