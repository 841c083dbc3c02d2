package api

import (
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
)

func (e *Engine) groupRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "id", Type: engine.String, Help: "ID of the group to change; without it the name says which"},
		{Name: "name", Type: engine.String, Help: "name of the group, unique whatever its capitals; made up if it has none"},
		{Name: "type", Type: engine.String, Default: "internal", Help: "internal: members are listed here; external: an auth method says who is in it. It cannot be changed"},
		{Name: "metadata", Type: engine.Map, Help: "up to 64 pairs, for templated policies"},
		{Name: "policies", Type: engine.Strings, Help: "policies that tokens of members have besides their own"},
		{Name: "member_entity_ids", Type: engine.Strings, Help: "IDs of the entities in it, all of them"},
		{Name: "member_group_ids", Type: engine.Strings, Help: "IDs of the groups in it, all of them"},
	}
	return []engine.Route{
		{
			Pattern: "group", Summary: "Create a group, or change one.", Fields: fields,
			Handlers: handlers{engine.Update: e.writeGroup},
		},
		listing("group/id", "List the IDs of all groups.", e.listGroups(false)),
		{
			Pattern: "group/id/{id}", Summary: "Read, change or delete a group by its ID.", Fields: fields[1:],
			Handlers: handlers{engine.Read: e.readGroup, engine.Update: e.writeGroup, engine.Delete: e.deleteGroup},
		},
		listing("group/name", "List the names of all groups.", e.listGroups(true)),
		{
			Pattern: "group/name/{name...}", Summary: "Read, write or delete a group by its name.", Fields: fields[2:], Canonical: lower,
			Handlers: handlers{engine.Read: e.readGroup, engine.Update: e.writeGroup, engine.Delete: e.deleteGroup},
		},
	}
}

func findGroup(ctx context.Context, v identity.View, req *engine.Request) (*identity.Group, error) {
	if name, ok := req.Params["name"]; ok {
		return v.GroupNamed(ctx, name)
	}
	return v.Group(ctx, req.Params["id"])
}

// targetGroup is target of an entity, for groups.
func (e *Engine) targetGroup(ctx context.Context, x identity.Edit, req *engine.Request) (*identity.Group, string, error) {
	d := req.Decode()
	id, name := d.String("id", ""), d.String("name", "")
	if err := d.Err(); err != nil {
		return nil, "", err
	}
	if ofPath, ok := req.Params["name"]; ok {
		old, err := x.GroupNamed(ctx, ofPath)
		if old != nil {
			ofPath = ""
		}
		return old, ofPath, err
	}
	if ofPath, ok := req.Params["id"]; ok {
		id = ofPath
	}
	if id == "" {
		old, err := x.GroupNamed(ctx, name)
		return old, name, err
	}
	old, err := x.Group(ctx, id)
	if err == nil && old == nil {
		err = errs.New(errs.Invalid, "group id not found")
	}
	return old, name, err
}

func (e *Engine) writeGroup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	old, name, err := e.targetGroup(ctx, x, req)
	if err != nil {
		return nil, err
	}
	var now *identity.Group
	if old != nil {
		copied := *old
		now = &copied
	} else if now, err = x.NewGroup(); err != nil {
		return nil, err
	}
	if name != "" {
		now.Name = name
	}
	members, err := changeGroup(now, old != nil, req)
	if err != nil {
		return nil, err
	}
	now.Updated = e.mount.Now().UTC()
	if err := x.PutGroup(ctx, old, now); err != nil {
		return nil, err
	}
	if members != nil {
		if err := x.SetMembers(ctx, now, members); err != nil {
			return nil, err
		}
	}
	if old != nil {
		return nil, nil
	}
	return respond(map[string]any{"id": now.ID, "name": now.Name})
}

// changeGroup changes g by the body of a request and returns the entities that
// are to be in it, nil for those that are.
func changeGroup(g *identity.Group, exists bool, req *engine.Request) (members []string, err error) {
	d := req.Decode()
	kind := d.String("type", g.Type)
	if m := d.StringMap("metadata"); m != nil {
		g.Metadata = m
	}
	policies, members, groups := d.Strings("policies"), d.Strings("member_entity_ids"), d.Strings("member_group_ids")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case exists && kind != g.Type:
		return nil, errs.New(errs.Invalid, "group type cannot be changed")
	case kind == identity.Outside && len(members) > 0:
		return nil, errs.New(errs.Invalid, "member entities can't be set manually for external groups")
	case kind == identity.Outside && len(groups) > 0:
		return nil, errs.New(errs.Invalid, "member groups can't be set for external groups")
	case kind == identity.Outside:
		members, groups = nil, nil
	}
	g.Type = kind
	if groups != nil {
		g.Groups = slices.Clone(groups)
	} else {
		g.Groups = slices.Clone(g.Groups)
	}
	if policies != nil {
		g.Policies, err = identity.Policies(policies)
	}
	return members, err
}

func (e *Engine) readGroup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	g, err := findGroup(ctx, v, req)
	if err != nil || g == nil {
		return nil, err
	}
	return e.showGroup(ctx, v, req, g)
}

func (e *Engine) showGroup(ctx context.Context, v identity.View, req *engine.Request, g *identity.Group) (*engine.Response, error) {
	members, err := v.Members(ctx, g.ID, "", 0)
	if err != nil {
		return nil, err
	}
	slices.Sort(members)
	alias := map[string]any{}
	if g.Alias != nil {
		alias = showAlias(g.Alias, g.ID, e.accessors(req.Namespace))
	}
	return respond(map[string]any{
		"id": g.ID, "name": g.Name, "type": g.Type, "policies": list(g.Policies), "metadata": g.Metadata,
		"member_entity_ids": list(members), "member_group_ids": list(g.Groups), "parent_group_ids": list(g.Parents),
		"alias": alias, "creation_time": stamp(g.Created), "last_update_time": stamp(g.Updated),
		"modify_index": g.Changes, "namespace_id": v.Namespace(),
	})
}

func (e *Engine) deleteGroup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	g, err := findGroup(ctx, x.View, req)
	if err != nil || g == nil {
		return nil, err
	}
	if err := x.DeleteGroup(ctx, g); err != nil {
		return nil, err
	}
	return &engine.Response{Status: 204, After: func(context.Context) error {
		e.mount.Wake()
		return nil
	}}, nil
}

func (e *Engine) lookupGroup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	g, err := lookup(ctx, req, finders[identity.Group]{v.Group, v.GroupNamed, v.GroupWithAlias, v.GroupOf})
	if err != nil || g == nil {
		return nil, err
	}
	return e.showGroup(ctx, v, req, g)
}

func (e *Engine) groupAliasRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "id", Type: engine.String, Help: "ID of the alias to change; without it name and mount_accessor say which"},
		{Name: "name", Type: engine.String, Help: "the name the auth method knows the group by"},
		{Name: "canonical_id", Type: engine.String, Help: "ID of the external group; a new one is made without"},
		{Name: "mount_accessor", Type: engine.String, Help: "accessor of the auth mount, from sys/auth"},
	}
	return []engine.Route{
		{
			Pattern: "group-alias", Summary: "Create the alias of an external group, or change it.", Fields: fields,
			Handlers: handlers{engine.Update: e.writeGroupAlias},
		},
		listing("group-alias/id", "List the IDs of all aliases of groups.", e.listGroupAliases),
		{
			Pattern: "group-alias/id/{id}", Summary: "Read, change or delete the alias of a group.", Fields: fields[1:],
			Handlers: handlers{engine.Read: e.readGroupAlias, engine.Update: e.writeGroupAlias, engine.Delete: e.deleteGroupAlias},
		},
	}
}

func (e *Engine) writeGroupAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := decodeWish(req)
	if err != nil {
		return nil, err
	}
	x := e.Identity.Edit(tx, req.Namespace.ID)
	was, err := e.groupOfAlias(ctx, x, &w)
	if err != nil {
		return nil, err
	}
	if err := e.complete(req, &w); err != nil {
		return nil, err
	}
	g, err := bearer(ctx, x, was, w.owner)
	if err != nil {
		return nil, err
	}
	a := &identity.Alias{ID: w.id, Name: w.name, Accessor: w.accessor}
	if was != nil {
		a.Created = was.Alias.Created
		if was.ID != g.ID {
			if _, err := x.SetGroupAlias(ctx, was, nil); err != nil {
				return nil, err
			}
		}
	}
	next, err := x.SetGroupAlias(ctx, g, a)
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"id": next.Alias.ID, "canonical_id": next.ID})
}

// bearer returns the group that is to have an alias: the one with ID owner, the
// one that has it, or a new one.
func bearer(ctx context.Context, x identity.Edit, was *identity.Group, owner string) (*identity.Group, error) {
	if was != nil && (owner == "" || owner == was.ID) {
		return was, nil
	}
	if owner != "" {
		g, err := x.Group(ctx, owner)
		if err == nil && g == nil {
			err = errs.New(errs.Invalid, "invalid group ID given in 'canonical_id'")
		}
		return g, err
	}
	g, err := x.NewGroup()
	if err != nil {
		return nil, err
	}
	g.Type = identity.Outside
	return g, x.PutGroup(ctx, nil, g)
}

// groupOfAlias returns the group whose alias w means, nil for a new alias, and
// fills in what w leaves out.
func (e *Engine) groupOfAlias(ctx context.Context, x identity.Edit, w *wish) (*identity.Group, error) {
	var g *identity.Group
	var err error
	if w.id != "" {
		if g, err = x.GroupWithAlias(ctx, w.id); err == nil && (g == nil || g.Alias == nil) {
			err = errs.New(errs.Invalid, "invalid alias ID: there is no such alias of a group")
		}
	} else if w.name != "" && w.accessor != "" {
		g, err = x.GroupOf(ctx, w.accessor, w.name)
	}
	if err != nil || g == nil || g.Alias == nil {
		return nil, err
	}
	w.id = g.Alias.ID
	if w.name == "" {
		w.name = g.Alias.Name
	}
	if w.accessor == "" {
		w.accessor = g.Alias.Accessor
	}
	return g, nil
}

func (e *Engine) readGroupAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	g, err := v.GroupWithAlias(ctx, req.Params["id"])
	if err != nil || g == nil || g.Alias == nil {
		return nil, err
	}
	shown := showAlias(g.Alias, g.ID, e.accessors(req.Namespace))
	shown["namespace_id"] = v.Namespace()
	return respond(shown)
}

func (e *Engine) deleteGroupAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	g, err := x.GroupWithAlias(ctx, req.Params["id"])
	if err != nil || g == nil {
		return nil, err
	}
	_, err = x.SetGroupAlias(ctx, g, nil)
	return nil, err
}
