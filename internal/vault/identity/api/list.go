package api

import (
	"context"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
)

// maxInfo is up to how many keys a listing says more of each: who lists a
// hundred thousand entities must not fill the vault's memory with them.
const maxInfo = 1000

// lower is the one spelling of a path whose names have no capitals.
func lower(path string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, path)
}

func listing(pattern, summary string, h engine.Handler) engine.Route {
	return engine.Route{
		Pattern: pattern, Summary: summary, ReadOnly: true, Handlers: handlers{engine.List: h},
		Fields: []engine.Field{
			{Name: "after", Type: engine.String, Help: "start behind this ID"},
			{Name: "limit", Type: engine.Int, Help: "list so many; 0 = all"},
		},
	}
}

// lister is one kind of things that can be listed.
type lister struct {
	ids  func(ctx context.Context, after string, limit int) ([]string, error)
	info func(ctx context.Context, id string) (name string, info map[string]any, err error) // nil info: it is gone
	// names lists names in place of IDs; key_info goes by IDs all the same.
	names bool
}

// respond lists IDs in an order of no meaning, so that after works; names are sorted.
func (l lister) respond(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	ids, err := l.page(ctx, req)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	many := len(ids) > maxInfo
	if many && !l.names {
		return tooMany(map[string]any{"keys": ids})
	}
	names, infos := make([]string, 0, len(ids)), map[string]any{}
	for _, id := range ids {
		name, info, err := l.info(ctx, id)
		if err != nil {
			return nil, err
		}
		if info == nil {
			continue
		}
		names = append(names, name)
		if !many {
			infos[id] = info
		}
	}
	keys := ids
	if l.names {
		slices.Sort(names)
		keys = names
	}
	if many {
		return tooMany(map[string]any{"keys": keys})
	}
	return respond(map[string]any{"keys": keys, "key_info": infos})
}

// page returns the IDs that a request asks for.
func (l lister) page(ctx context.Context, req *engine.Request) ([]string, error) {
	d := req.Decode()
	after, limit := d.String("after", ""), d.Int("limit", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if limit < 0 || limit > 1<<30 {
		return nil, errs.New(errs.Invalid, "limit cannot be negative, nor more than 1073741824")
	}
	return l.ids(ctx, after, int(limit))
}

// tooMany answers without what there is to say of each key.
func tooMany(data map[string]any) (*engine.Response, error) {
	res, err := respond(data)
	if err == nil {
		res.Warnings = []string{"key_info is left out, since there are more than 1000 keys: ask with limit and after"}
	}
	return res, err
}

func (e *Engine) listEntities(names bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		v, mounts := identity.In(tx, req.Namespace.ID), e.accessors(req.Namespace)
		return lister{ids: v.Entities, names: names, info: func(ctx context.Context, id string) (string, map[string]any, error) {
			found, err := v.Entity(ctx, id)
			if err != nil || found == nil {
				return "", nil, err
			}
			aliases := make([]any, len(found.Aliases))
			for i := range found.Aliases {
				aliases[i] = aliasInfo(&found.Aliases[i], found.ID, mounts)
			}
			return found.Name, map[string]any{"name": found.Name, "aliases": aliases}, nil
		}}.respond(ctx, req)
	}
}

func (e *Engine) listEntityAliases(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v, mounts := identity.In(tx, req.Namespace.ID), e.accessors(req.Namespace)
	return lister{ids: v.Aliases, info: func(ctx context.Context, id string) (string, map[string]any, error) {
		owner, err := v.EntityWithAlias(ctx, id)
		if err != nil || owner == nil || owner.AliasByID(id) == nil {
			return "", nil, err
		}
		a := owner.AliasByID(id)
		return a.Name, aliasInfo(a, owner.ID, mounts), nil
	}}.respond(ctx, req)
}

func (e *Engine) listGroups(names bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		v, mounts := identity.In(tx, req.Namespace.ID), e.accessors(req.Namespace)
		return lister{ids: v.Groups, names: names, info: func(ctx context.Context, id string) (string, map[string]any, error) {
			g, err := v.Group(ctx, id)
			if err != nil || g == nil {
				return "", nil, err
			}
			members, err := v.Members(ctx, id, "", 0)
			if err != nil {
				return "", nil, err
			}
			info := map[string]any{"name": g.Name, "num_member_entities": len(members), "num_parent_groups": len(g.Parents)}
			if g.Alias != nil {
				info["alias"] = aliasInfo(g.Alias, g.ID, mounts)
			}
			return g.Name, info, nil
		}}.respond(ctx, req)
	}
}

func (e *Engine) listGroupAliases(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v, mounts := identity.In(tx, req.Namespace.ID), e.accessors(req.Namespace)
	return lister{ids: v.GroupAliases, info: func(ctx context.Context, id string) (string, map[string]any, error) {
		g, err := v.GroupWithAlias(ctx, id)
		if err != nil || g == nil || g.Alias == nil {
			return "", nil, err
		}
		return g.Alias.Name, aliasInfo(g.Alias, g.ID, mounts), nil
	}}.respond(ctx, req)
}
