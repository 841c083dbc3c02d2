package api

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

func (e *Engine) entityAliasRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "id", Type: engine.String, Help: "ID of the alias to change; without it name and mount_accessor say which"},
		{Name: "name", Type: engine.String, Help: "the name the auth method knows the entity by"},
		{Name: "canonical_id", Type: engine.String, Help: "ID of the entity; a new one is made without"},
		{Name: "entity_id", Type: engine.String, Help: "older name of canonical_id"},
		{Name: "mount_accessor", Type: engine.String, Help: "accessor of the auth mount, from sys/auth"},
		{Name: "custom_metadata", Type: engine.Map, Help: "up to 64 pairs, for templated policies"},
	}
	return []engine.Route{
		{
			Pattern: "entity-alias", Summary: "Create an alias of an entity, or change one.", Fields: fields,
			Handlers: handlers{engine.Update: e.writeAlias},
		},
		listing("entity-alias/id", "List the IDs of all aliases of entities.", e.listEntityAliases),
		{
			Pattern: "entity-alias/id/{id}", Summary: "Read, change or delete an alias of an entity.", Fields: fields[1:],
			Handlers: handlers{engine.Read: e.readAlias, engine.Update: e.writeAlias, engine.Delete: e.deleteAlias},
		},
	}
}

// showAlias is an alias as a read answers it.
func showAlias(a *identity.Alias, owner string, mounts map[string]*mount.Mount) map[string]any {
	shown := aliasInfo(a, owner, mounts)
	shown["id"], shown["local"] = a.ID, false
	shown["metadata"], shown["custom_metadata"] = a.Metadata, a.Custom
	shown["creation_time"], shown["last_update_time"] = stamp(a.Created), stamp(a.Updated)
	shown["merged_from_canonical_ids"] = a.MergedFrom
	return shown
}

// aliasInfo is what listings say of an alias.
func aliasInfo(a *identity.Alias, owner string, mounts map[string]*mount.Mount) map[string]any {
	info := map[string]any{"canonical_id": owner, "id": a.ID, "name": a.Name, "mount_accessor": a.Accessor, "mount_path": "", "mount_type": ""}
	if m := mounts[a.Accessor]; m != nil {
		info["mount_path"], info["mount_type"] = m.Path, m.Type
	}
	return info
}

// wish is a decoded request to write an alias.
type wish struct {
	id, name, owner, accessor string
	custom                    map[string]string // nil = as it is
}

func decodeWish(req *engine.Request) (wish, error) {
	d := req.Decode()
	w := wish{
		id: d.String("id", ""), name: d.String("name", ""), owner: d.String("canonical_id", d.String("entity_id", "")),
		accessor: d.String("mount_accessor", ""), custom: d.StringMap("custom_metadata"),
	}
	if id, ok := req.Params["id"]; ok {
		w.id = id
	}
	return w, d.Err()
}

func (e *Engine) writeAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := decodeWish(req)
	if err != nil {
		return nil, err
	}
	x := e.Identity.Edit(tx, req.Namespace.ID)
	var owner *identity.Entity
	if w.id != "" {
		if owner, err = x.EntityWithAlias(ctx, w.id); err == nil && owner == nil {
			err = errs.New(errs.Invalid, "invalid alias ID: there is no such alias of an entity")
		}
	} else {
		if err := e.complete(req, &w); err != nil {
			return nil, err
		}
		if owner, err = x.EntityOf(ctx, w.accessor, w.name); owner != nil {
			w.id = owner.Alias(w.accessor).ID
		}
	}
	if err != nil {
		return nil, err
	}
	if owner == nil {
		return e.createAlias(ctx, x, w)
	}
	return e.changeAlias(ctx, x, owner, w)
}

// complete refuses what cannot be a new alias.
func (e *Engine) complete(req *engine.Request, w *wish) error {
	switch {
	case w.name == "":
		return errs.New(errs.Invalid, "missing alias name")
	case w.accessor == "":
		return errs.New(errs.Invalid, "missing mount_accessor")
	}
	if e.accessors(req.Namespace)[w.accessor] == nil {
		return errs.Newf(errs.Invalid, "invalid mount accessor %.80q: it is that of no auth mount of this namespace; sys/auth lists them", w.accessor)
	}
	return nil
}

func (e *Engine) createAlias(ctx context.Context, x identity.Edit, w wish) (*engine.Response, error) {
	var owner *identity.Entity
	var err error
	if w.owner == "" {
		if owner, err = x.NewEntity(); err == nil {
			err = x.PutEntity(ctx, nil, owner)
		}
	} else {
		owner, err = e.owner(ctx, x, w.owner)
	}
	if err != nil {
		return nil, err
	}
	owner = owner.Clone()
	owner.Automatic, owner.Updated = false, e.mount.Now().UTC()
	_, a, err := x.AddAlias(ctx, owner, identity.Alias{Accessor: w.accessor, Name: w.name, Custom: w.custom})
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"id": a.ID, "canonical_id": owner.ID})
}

func (e *Engine) owner(ctx context.Context, x identity.Edit, id string) (*identity.Entity, error) {
	owner, err := x.Entity(ctx, id)
	if err == nil && owner == nil {
		err = errs.New(errs.Invalid, "invalid canonical ID: there is no such entity")
	}
	return owner, err
}

func (e *Engine) changeAlias(ctx context.Context, x identity.Edit, owner *identity.Entity, w wish) (*engine.Response, error) {
	a := owner.AliasByID(w.id)
	if w.accessor != "" && w.accessor != a.Accessor {
		return nil, errs.New(errs.Invalid, "the mount_accessor of an alias cannot be changed: delete it and make another")
	}
	name, custom := a.Name, a.Custom
	if w.name != "" {
		name = w.name
	}
	if w.custom != nil {
		custom = w.custom
	}
	changed, err := x.ChangeAlias(ctx, owner, w.id, name, custom)
	if err != nil {
		return nil, err
	}
	if w.owner != "" && w.owner != owner.ID {
		to, err := e.owner(ctx, x, w.owner)
		if err != nil {
			return nil, err
		}
		if changed, err = x.MoveAlias(ctx, changed, to, w.id); err != nil {
			return nil, err
		}
	}
	return respond(map[string]any{"id": w.id, "canonical_id": changed.ID})
}

func (e *Engine) readAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	v := identity.In(tx, req.Namespace.ID)
	owner, err := v.EntityWithAlias(ctx, req.Params["id"])
	if err != nil || owner == nil || owner.AliasByID(req.Params["id"]) == nil {
		return nil, err
	}
	shown := showAlias(owner.AliasByID(req.Params["id"]), owner.ID, e.accessors(req.Namespace))
	shown["namespace_id"] = v.Namespace()
	return respond(shown)
}

func (e *Engine) deleteAlias(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	owner, err := x.EntityWithAlias(ctx, req.Params["id"])
	if err != nil || owner == nil {
		return nil, err
	}
	_, err = x.RemoveAlias(ctx, owner, req.Params["id"], false)
	return nil, err
}
