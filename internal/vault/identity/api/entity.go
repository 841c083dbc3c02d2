package api

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
)

func (e *Engine) entityRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "id", Type: engine.String, Help: "ID of the entity to change; without it the name says which"},
		{Name: "name", Type: engine.String, Help: "name of the entity, unique whatever its capitals; made up if it has none"},
		{Name: "metadata", Type: engine.Map, Help: "up to 64 pairs, for templated policies"},
		{Name: "policies", Type: engine.Strings, Help: "policies that tokens of the entity have besides their own"},
		{Name: "disabled", Type: engine.Bool, Help: "refuse its tokens and logins"},
	}
	return []engine.Route{
		{
			Pattern: "entity", Summary: "Create an entity, or change one.", Fields: fields,
			Handlers: handlers{engine.Update: e.writeEntity},
		},
		{
			Pattern: "entity/batch-delete", Summary: "Delete several entities.",
			Fields:   []engine.Field{{Name: "entity_ids", Type: engine.Strings, Help: "which"}},
			Handlers: handlers{engine.Update: e.deleteEntities},
		},
		{
			Pattern: "entity/merge", Summary: "Make one entity of several.",
			Fields: []engine.Field{
				{Name: "from_entity_ids", Type: engine.Strings, Help: "entities that give up their aliases and groups, and are no more"},
				{Name: "to_entity_id", Type: engine.String, Help: "the entity that takes them"},
				{Name: "conflicting_alias_ids_to_keep", Type: engine.Strings, Help: "which alias stays where both have one on the same mount; from must be one entity then"},
				{Name: "force", Type: engine.Bool, Help: "accepted; it is about MFA secrets in Vault"},
			},
			Handlers: handlers{engine.Update: e.mergeEntities},
		},
		listing("entity/id", "List the IDs of all entities.", e.listEntities(false)),
		{
			Pattern: "entity/id/{id}", Summary: "Read, change or delete an entity by its ID.", Fields: fields[1:],
			Handlers: handlers{engine.Read: e.readEntity, engine.Update: e.writeEntity, engine.Delete: e.deleteEntity},
		},
		listing("entity/name", "List the names of all entities.", e.listEntities(true)),
		{
			Pattern: "entity/name/{name...}", Summary: "Read, write or delete an entity by its name.", Fields: fields[2:], Canonical: lower,
			Handlers: handlers{engine.Read: e.readEntity, engine.Update: e.writeEntity, engine.Delete: e.deleteEntity},
		},
	}
}

// findEntity returns the entity that the path names, nil if there is none.
func findEntity(ctx context.Context, v identity.View, req *engine.Request) (*identity.Entity, error) {
	if name, ok := req.Params["name"]; ok {
		return v.EntityNamed(ctx, name)
	}
	return v.Entity(ctx, req.Params["id"])
}

func (e *Engine) writeEntity(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	old, name, err := e.target(ctx, x, req)
	if err != nil {
		return nil, err
	}
	var now *identity.Entity
	if old != nil {
		now = old.Clone()
	} else if now, err = x.NewEntity(); err != nil {
		return nil, err
	}
	if name != "" {
		now.Name = name
	}
	d := req.Decode()
	if m := d.StringMap("metadata"); m != nil {
		now.Metadata = m
	}
	policies := d.Strings("policies")
	now.Disabled = d.Bool("disabled", now.Disabled)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if policies != nil {
		if now.Policies, err = identity.Policies(policies); err != nil {
			return nil, err
		}
	}
	now.Automatic, now.Updated = false, e.mount.Now().UTC()
	if err := x.PutEntity(ctx, old, now); err != nil || old != nil {
		return nil, err
	}
	return respond(map[string]any{"id": now.ID, "name": now.Name, "aliases": nil})
}

// target returns the entity that a write means, nil for a new one, and the name
// it is to have, "" for the one it has.
func (e *Engine) target(ctx context.Context, x identity.Edit, req *engine.Request) (*identity.Entity, string, error) {
	d := req.Decode()
	id, name := d.String("id", ""), d.String("name", "")
	if err := d.Err(); err != nil {
		return nil, "", err
	}
	if ofPath, ok := req.Params["name"]; ok {
		old, err := x.EntityNamed(ctx, ofPath)
		if old != nil {
			ofPath = ""
		}
		return old, ofPath, err
	}
	if ofPath, ok := req.Params["id"]; ok {
		id = ofPath
	}
	if id == "" {
		old, err := x.EntityNamed(ctx, name)
		return old, name, err
	}
	old, err := x.Entity(ctx, id)
	if err == nil && old == nil {
		err = errs.New(errs.Invalid, "entity not found from id")
	}
	return old, name, err
}

func (e *Engine) readEntity(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	found, err := findEntity(ctx, v, req)
	if err != nil || found == nil {
		return nil, err
	}
	return e.showEntity(ctx, v, req, found)
}

func (e *Engine) showEntity(ctx context.Context, v identity.View, req *engine.Request, found *identity.Entity) (*engine.Response, error) {
	direct, inherited, err := groupsOf(ctx, v, found)
	if err != nil {
		return nil, err
	}
	mounts := e.accessors(req.Namespace)
	aliases := make([]any, len(found.Aliases))
	for i := range found.Aliases {
		aliases[i] = showAlias(&found.Aliases[i], found.ID, mounts)
	}
	data := map[string]any{
		"id": found.ID, "name": found.Name, "aliases": aliases, "metadata": found.Metadata, "policies": list(found.Policies),
		"disabled": found.Disabled, "merged_entity_ids": found.Merged, "namespace_id": v.Namespace(),
		"creation_time": stamp(found.Created), "last_update_time": stamp(found.Updated),
		"direct_group_ids": list(direct), "inherited_group_ids": list(inherited), "group_ids": append(list(direct), inherited...),
		"mfa_secrets": map[string]any{}, "automatic": found.Automatic,
	}
	if found.Seen > 0 {
		data["last_used"] = identity.Date(found.Seen)
	}
	return respond(data)
}

// groupsOf returns the IDs of the groups that an entity is in, itself and by way of others.
func groupsOf(ctx context.Context, v identity.View, found *identity.Entity) (direct, inherited []string, err error) {
	for _, id := range found.DirectGroups() {
		g, err := v.Group(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if g != nil {
			direct = append(direct, id)
		}
	}
	above, err := v.Ancestors(ctx, direct)
	for _, g := range above {
		inherited = append(inherited, g.ID)
	}
	return direct, inherited, err
}

func (e *Engine) deleteEntity(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	found, err := findEntity(ctx, x.View, req)
	if err != nil || found == nil {
		return nil, err
	}
	return nil, x.DeleteEntity(ctx, found)
}

// Bounds of a batch-delete. It is done in several commits, each whole.
const (
	maxBatchDelete = 10_000
	deleteAtOnce   = 24
)

func (e *Engine) deleteEntities(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	ids, ns := d.Strings("entity_ids"), req.Namespace.ID
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case len(ids) == 0:
		return nil, errs.New(errs.Invalid, "missing entity ids to delete: give entity_ids")
	case len(ids) > maxBatchDelete:
		return nil, errs.Newf(errs.Invalid, "%d entity_ids are over the limit of %d: delete them in several requests", len(ids), maxBatchDelete)
	}
	return &engine.Response{Status: 204, After: func(ctx context.Context) error {
		for left := ids; len(left) > 0; {
			now := left[:min(deleteAtOnce, len(left))]
			left = left[len(now):]
			err := e.mount.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
				x := e.Identity.Edit(tx, ns)
				for _, id := range now {
					found, err := x.Entity(ctx, id)
					if err != nil {
						return err
					}
					if found == nil {
						continue
					}
					if err := x.DeleteEntity(ctx, found); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return errs.Newf(errs.KindOf(err), "%d of %d entities are not deleted yet; ask again: %w", len(left)+len(now), len(ids), err)
			}
		}
		return nil
	}}, nil
}

func (e *Engine) mergeEntities(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	fromIDs, toID, keep := d.Strings("from_entity_ids"), d.String("to_entity_id", ""), d.Strings("conflicting_alias_ids_to_keep")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case len(fromIDs) == 0:
		return nil, errs.New(errs.Invalid, "missing entity ids to merge from")
	case toID == "":
		return nil, errs.New(errs.Invalid, "missing entity id to merge to")
	}
	x := e.Identity.Edit(tx, req.Namespace.ID)
	to, err := x.Entity(ctx, toID)
	if err != nil {
		return nil, err
	}
	if to == nil {
		return nil, errs.New(errs.Invalid, "entity id to merge to is invalid")
	}
	from := make([]*identity.Entity, 0, len(fromIDs))
	seen := map[string]bool{}
	for _, id := range fromIDs {
		if id == toID {
			return nil, errs.New(errs.Invalid, "to_entity_id should not be present in from_entity_ids")
		}
		one, err := x.Entity(ctx, id)
		if err != nil {
			return nil, err
		}
		if one == nil {
			return nil, errs.New(errs.Invalid, "entity id to merge from is invalid")
		}
		if !seen[id] {
			seen[id] = true
			from = append(from, one)
		}
	}
	return nil, x.Merge(ctx, to, from, keep)
}

func (e *Engine) lookupEntity(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	found, err := lookup(ctx, req, finders[identity.Entity]{v.Entity, v.EntityNamed, v.EntityWithAlias, v.EntityOf})
	if err != nil || found == nil {
		return nil, err
	}
	return e.showEntity(ctx, v, req, found)
}

// finders are the ways to find a thing.
type finders[T any] struct {
	byID, byName, byAlias func(context.Context, string) (*T, error)
	byAliasName           func(ctx context.Context, accessor, name string) (*T, error)
}

// lookup finds what the body of a request describes, in exactly one way.
func lookup[T any](ctx context.Context, req *engine.Request, by finders[T]) (*T, error) {
	d := req.Decode()
	id, name, alias := d.String("id", ""), d.String("name", ""), d.String("alias_id", "")
	aliasName, accessor := d.String("alias_name", ""), d.String("alias_mount_accessor", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	ways := 0
	for _, given := range []string{id, name, alias, aliasName + accessor} {
		if given != "" {
			ways++
		}
	}
	switch {
	case ways == 0:
		return nil, errs.New(errs.Invalid, "query parameter not supplied: give id, name, alias_id, or alias_name with alias_mount_accessor")
	case ways > 1:
		return nil, errs.New(errs.Invalid, "more than one of id, name, alias_id, and alias_name with alias_mount_accessor: give one")
	case id != "":
		return by.byID(ctx, id)
	case name != "":
		return by.byName(ctx, name)
	case alias != "":
		return by.byAlias(ctx, alias)
	case aliasName == "" || accessor == "":
		return nil, errs.New(errs.Invalid, "both alias_name and alias_mount_accessor must be given")
	}
	return by.byAliasName(ctx, accessor, aliasName)
}
