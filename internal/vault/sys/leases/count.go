package leases

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// group is who made how many. The empty fields are not part of the question.
type group struct {
	Mount       string `json:"mount,omitempty"`
	Role        string `json:"role,omitempty"`
	Path        string `json:"path,omitempty"`
	EntityID    string `json:"entity_id,omitempty"`
	Accessor    string `json:"accessor,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	Policy      string `json:"policy,omitempty"`
}

// tally counts groups.
type tally struct {
	by    map[group]int
	total int
}

// maxGroups bounds the memory of a tally: a million tokens with a lease each
// are no answer. Those that come later are counted in the total alone.
const maxGroups = 200_000

func (t *tally) add(g group) {
	t.total++
	if _, known := t.by[g]; known || len(t.by) < maxGroups {
		t.by[g]++
	}
}

// groupings are what group_by takes, for a lease of m and for a token.
var groupings = map[string]struct {
	lease func(m *mount.Mount, l *lease.Record) group
	token func(e *token.Entry) []group
}{
	"mount": {
		func(m *mount.Mount, _ *lease.Record) group { return group{Mount: m.Path} },
		func(e *token.Entry) []group { return []group{{Mount: e.MountID}} },
	},
	"role": {
		func(m *mount.Mount, l *lease.Record) group { return group{Mount: m.Path, Role: l.Role} },
		func(e *token.Entry) []group {
			return []group{{Mount: e.MountID, Role: cmp.Or(e.Role, e.Meta["role"], e.Meta["role_name"])}}
		},
	},
	"path": {
		func(m *mount.Mount, l *lease.Record) group { return group{Path: m.Path + l.Path} },
		func(e *token.Entry) []group { return []group{{Path: e.Path}} },
	},
	"entity": {
		func(_ *mount.Mount, l *lease.Record) group { return group{EntityID: l.EntityID} },
		func(e *token.Entry) []group { return []group{{EntityID: e.EntityID}} },
	},
	"token": {
		func(_ *mount.Mount, l *lease.Record) group {
			return group{Accessor: l.Accessor, DisplayName: l.DisplayName}
		},
		func(e *token.Entry) []group { return []group{{DisplayName: e.DisplayName}} },
	},
	"policy": {nil, func(e *token.Entry) (all []group) {
		for _, p := range e.Policies {
			all = append(all, group{Policy: p})
		}
		return all
	}},
}

func (c Config) countLeases(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	kind, by, limit := d.String("type", "leases"), d.String("group_by", ""), d.Int("limit", 100)
	if err := d.Err(); err != nil {
		return nil, err
	}
	grouping, known := groupings[by]
	switch {
	case by != "" && (!known || kind == "leases" && grouping.lease == nil):
		return nil, errs.New(errs.Invalid, `field "group_by" must be mount, role, path, entity or token; for tokens also policy`)
	case kind == "irrevocable" || kind == "leases" && by == "":
		return c.countByMount(ctx, tx, req.Namespace, kind == "irrevocable")
	case kind == "leases":
		t := tally{by: map[group]int{}}
		for _, m := range c.leasers(req.Namespace) {
			if err := c.Leases.Each(ctx, tx, req.Namespace, m.ID, func(l *lease.Record) { t.add(grouping.lease(m, l)) }); err != nil {
				return nil, err
			}
		}
		return t.answer("lease_count", int(limit))
	case kind == "tokens":
		return c.countTokens(ctx, tx, req.Namespace, grouping.token, int(limit))
	}
	return nil, errs.New(errs.Invalid, `field "type" must be leases, irrevocable or tokens`)
}

// leasers are the mounts of a namespace that give leases.
func (c Config) leasers(ns engine.Namespace) (all []*mount.Mount) {
	for _, m := range c.Mounts.Table().In(ns) {
		if _, ok := m.Engine.(engine.Leaser); ok {
			all = append(all, m)
		}
	}
	return all
}

func (c Config) countByMount(ctx context.Context, tx engine.Tx, ns engine.Namespace, irrevocable bool) (*engine.Response, error) {
	count := c.Leases.Count
	if irrevocable {
		count = c.Leases.CountIrrevocable
	}
	counts, total := map[string]int{}, 0
	for _, m := range c.leasers(ns) {
		n, err := count(ctx, tx, m.ID)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			counts[m.Accessor] = n
		}
		total += n
	}
	return respond(map[string]any{"lease_count": total, "counts": counts})
}

func (c Config) countTokens(ctx context.Context, tx engine.Tx, ns engine.Namespace, groups func(*token.Entry) []group, limit int) (*engine.Response, error) {
	t, total := tally{by: map[group]int{}}, 0
	err := c.Tokens.Each(ctx, tx, func(entry *token.Entry) {
		if ns.Root() != (entry.Namespace == "") || !ns.Root() && entry.Namespace != ns.ID {
			return
		}
		total++
		if groups == nil {
			return
		}
		for _, g := range groups(entry) {
			if m := c.Mounts.Table().ByID(g.Mount); m != nil {
				g.Mount = m.Path
			}
			t.add(g)
		}
	})
	if err != nil {
		return nil, err
	}
	t.total = total
	return t.answer("token_count", limit)
}

// answer is the limit largest groups, the largest first.
func (t *tally) answer(name string, limit int) (*engine.Response, error) {
	type counted struct {
		group
		Count int `json:"count"`
	}
	all := make([]counted, 0, len(t.by))
	for g, n := range t.by {
		all = append(all, counted{g, n})
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Mount+a.Role+a.Path, b.Mount+b.Role+b.Path),
			cmp.Compare(a.EntityID+a.Accessor+a.DisplayName+a.Policy, b.EntityID+b.Accessor+b.DisplayName+b.Policy))
	})
	more := 0
	if limit > 0 && len(all) > limit {
		more = len(all) - limit
		all = all[:limit]
	}
	return respond(map[string]any{name: t.total, "groups": all, "more_groups": more})
}

// hold stops all that ends or works by itself, or lets it go on. It is durable:
// a restart in between does not undo it.
func (c Config) hold(held bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		if err := inRoot(req); err != nil {
			return nil, err
		}
		if err := c.Leases.Hold(ctx, tx, held); err != nil {
			return nil, err
		}
		return &engine.Response{After: func(context.Context) error {
			c.Leases.SetHeld(held)
			return nil
		}}, nil
	}
}

func (c Config) held(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	since, err := c.Leases.HeldSince(ctx, tx)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"held": !since.IsZero(), "since": nil}
	if !since.IsZero() {
		data["since"] = since.Format(time.RFC3339)
	}
	return respond(data)
}

// inRoot refuses what concerns all namespaces from within one.
func inRoot(req *engine.Request) error {
	if req.Namespace.Root() {
		return nil
	}
	return errs.New(errs.Invalid, "this concerns all namespaces: ask for it in the root namespace (unset VAULT_NAMESPACE)")
}
