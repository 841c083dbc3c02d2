package gate

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// place joins header and path to one absolute path, and finds the namespace
// that it lies in: header "team-a" and path "secret/x" are the path
// "team-a/secret/x". A header that names no namespace leads nowhere, which is
// told only to those whom policy allows the path: for all others it is like a
// namespace that they have no rights in.
func (c *call) place() error {
	c.abs = c.req.Path
	header := c.req.Namespace
	if header == "root" {
		header = ""
	}
	if header != "" {
		c.abs = header + "/" + c.req.Path
	}
	if err := checkPath(c.abs, c.op); err != nil {
		return err
	}
	c.ns, c.rel = c.vault.namespaces.Table().Find(c.abs)
	if header != "" && len(c.ns.Path) <= len(header) {
		c.nowhere, c.rel = true, c.req.Path
	}
	return nil
}

// auditNamespace is the namespace as audit lines have it. A header that names
// none is not repeated there: it may be a secret that was put in the wrong place.
func (c *call) auditNamespace() audit.Namespace {
	if c.nowhere {
		return audit.Namespace{ID: "unknown", Path: c.ns.Path}
	}
	return audit.Namespace(c.ns)
}

// nsID is a namespace's ID as entries keep it, "" for the root.
func nsID(ns engine.Namespace) string {
	if ns.Root() {
		return ""
	}
	return ns.ID
}

// home returns the namespace of a token. One that was deleted cannot be used;
// Lookup has refused the token then, or is about to.
func (v *vault) home(e *token.Entry) (engine.Namespace, bool) {
	if e.Namespace == "" {
		return namespace.Root, true
	}
	return v.namespaces.Table().ByID(e.Namespace)
}

// usable reports whether a token is of use to requests in ns: those of its own
// namespace and below.
func (v *vault) usable(e *token.Entry, ns engine.Namespace) bool {
	home, ok := v.home(e)
	return ok && namespace.Within(ns, home)
}

// alone is whom the policies of a token are asked for without its entity: those of its own namespace.
func (v *vault) alone(e *token.Entry) policy.Subject {
	s := policy.Subject{Names: e.Policies}
	if ns, ok := v.home(e); ok {
		s.Namespace = policy.Namespace(ns)
	} else {
		s.Names = nil
	}
	return s
}

// errLocked is Vault's text, which says whom to ask.
func errLocked(by *namespace.Entry) error {
	return errs.Newf(errs.Unavailable, "API access to this namespace has been locked by an administrator - %q must be unlocked to gain access.", by.Path)
}

// checkLock refuses requests to a locked namespace and to all within it, except
// the one that unlocks it.
func (c *call) checkLock() error {
	by := c.vault.namespaces.Table().LockedBy(c.ns)
	if by == nil || c.unlocks(by) {
		return nil
	}
	return errLocked(by)
}

func (c *call) unlocks(by *namespace.Entry) bool {
	const unlock = "namespaces/api-lock/unlock"
	return by.Path == c.ns.Path && c.mount != nil && c.mount.Class == mount.System && c.mount.Path == "sys/" &&
		(c.request.Path == unlock || strings.HasPrefix(c.request.Path, unlock+"/"))
}

// veiled is the error of an open system route that has nothing to show in a
// namespace: the one there would be if there were no such namespace.
func (c *call) veiled(ctx context.Context, err error) error {
	if err == nil || !c.open() || c.ns.Root() || c.mount.Class != mount.System || !errs.Is(err, errs.Unauthenticated) {
		return err
	}
	c.mount, c.route = nil, nil
	if err := c.identify(ctx); err != nil {
		return err
	}
	if err := c.decide(); err != nil {
		return err
	}
	return c.noRoute()
}

// belongs refuses what a namespace does not have of its own.
func (c *call) belongs() error {
	switch {
	case c.mount.Type == "cubbyhole" && c.token != nil && c.token.Namespace != nsID(c.ns):
		return errs.New(errs.Invalid, "a token's cubbyhole is in the token's own namespace: send that one's name as namespace")
	case !c.ns.Root() && c.route != nil && c.route.RootOnly:
		return errs.Newf(errs.Invalid, "%s must be called in the root namespace: unset VAULT_NAMESPACE or the X-Vault-Namespace header", c.rel)
	}
	return nil
}

// stillThere makes the commit of t fail if the request's namespace was deleted
// since the request found it.
func (c *call) stillThere(ctx context.Context, t *tx) error {
	if c.ns.Root() {
		return nil
	}
	entry, err := t.Get(ctx, namespace.EntryPrefix+c.ns.ID)
	if err == nil && !entry.Exists() {
		err = c.noRoute()
	}
	return err
}

func (c *call) noRoute() error {
	if c.nowhere {
		return errs.Newf(errs.NotExist, "no handler for route %q. route entry not found. There is no namespace with the name that was sent: check VAULT_NAMESPACE or the X-Vault-Namespace header.", c.req.Path)
	}
	return errs.Newf(errs.NotExist, "no handler for route %q. route entry not found.", c.req.Path)
}

// reach returns the namespace with this ID if it is the request's, or if it lies
// below that and the caller may do there what the request does.
func (v *vault) reach(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error) {
	denied := errs.New(errs.Denied, "permission denied")
	ns, ok := v.namespaces.Table().ByID(id)
	switch {
	case !ok || !namespace.Within(ns, req.Namespace):
		return engine.Namespace{}, denied
	case ns.Path == req.Namespace.Path || req.Caller.Root:
		return ns, nil
	}
	m, rest, ok := v.mounts.Table().Find(ns, req.Mount+req.Path)
	if !ok {
		return engine.Namespace{}, denied
	}
	route, _, ok := m.Router.Match(rest)
	if !ok {
		return engine.Namespace{}, denied
	}
	who, err := v.subjectOf(ctx, tx, &token.Entry{
		Namespace: nsID(req.Caller.Namespace), Policies: req.Caller.Policies, EntityID: req.Caller.EntityID,
	})
	if err != nil {
		return engine.Namespace{}, err
	}
	acl, _, err := v.policies.ACLFor(ctx, tx, who)
	if err != nil {
		return engine.Namespace{}, err
	}
	d := acl.Decide(policy.Query{Path: ns.Path + req.Mount + req.Path, Want: capability(req.Operation), Params: &req.Body})
	if !d.Allowed || route.Sudo && !d.Sudo {
		return engine.Namespace{}, denied
	}
	return ns, nil
}

// purge deletes what removed namespaces and mounts left, also what a crash left
// undone: at once, whenever it is asked for, and after failures. One goroutine
// does it, however many changes there are while something cannot be deleted.
func (v *vault) purge(ctx context.Context, g *Gate) {
	for pause := minPurgePause; ; {
		var again <-chan time.Time
		if v.purged(ctx, g) {
			pause = minPurgePause
		} else {
			again, pause = time.After(pause), min(2*pause, maxPurgePause)
		}
		select {
		case <-ctx.Done():
			return
		case <-v.purgeAsked:
		case <-again:
		}
	}
}

// askPurge has purge look soon.
func (v *vault) askPurge() {
	select {
	case v.purgeAsked <- struct{}{}:
	default: // asked already
	}
}

// Pauses after a purge failed: a database that is down keeps its leases from
// being ended, and with them their namespace from being deleted.
const (
	minPurgePause = 10 * time.Second
	maxPurgePause = time.Hour
)

// purged is one attempt, and reports whether nothing is left.
func (v *vault) purged(ctx context.Context, g *Gate) bool {
	err := v.purgeNamespaces(ctx, g)
	dropped := v.dropLeases(ctx)
	if dropped == nil {
		dropped = v.mounts.Purge(ctx)
	}
	if err = errors.Join(err, dropped); err != nil && ctx.Err() == nil {
		g.cfg.Log.Warn("deleting the data of removed namespaces and mounts; will try again", "error", err)
	}
	return err == nil
}

func (v *vault) purgeNamespaces(ctx context.Context, g *Gate) error {
	removed, err := v.namespaces.Removed(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, e := range removed {
		if err := v.purgeNamespace(ctx, g, e); err != nil {
			all = append(all, errs.Newf(errs.KindOf(err), "deleting what belonged to namespace %q: %w", e.Path, err))
		}
	}
	return errors.Join(all...)
}

// purgeNamespace deletes what belonged to a deleted namespace: its leases, its
// mounts, its tokens, and what the engines of all namespaces kept for it. Each step may be
// run again after a crash; the purge key goes last.
func (v *vault) purgeNamespace(ctx context.Context, g *Gate, e *namespace.Entry) error {
	if err := v.removeMounts(ctx, e.ID); err != nil {
		return err
	}
	for more := true; more; {
		err := v.commit(ctx, func(t *tx) (err error) {
			more, err = v.tokens.RevokeNamespace(ctx, t, e.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, folder := range []string{e.Namespace().Folder(), password.Folder + e.ID + "/"} {
		if err := v.mounts.PurgeFolder(ctx, folder); err != nil {
			return err
		}
	}
	if err := v.mounts.PurgeFolder(ctx, identity.Folder(e.ID)); err != nil {
		return err
	}
	_, err := v.store.Apply(ctx, store.Delete(namespace.PurgePrefix+e.ID))
	if err == nil {
		g.cfg.Log.Info("namespace is deleted", "namespace", e.Path)
	}
	return err
}

func (v *vault) removeMounts(ctx context.Context, id string) error {
	own := v.mounts.Table().Own(id)
	if len(own) == 0 {
		return nil
	}
	for _, m := range own {
		if err := v.leases.EndMount(ctx, m.ID); err != nil {
			return err
		}
		if err := v.commit(ctx, func(t *tx) error { return v.mounts.Remove(ctx, t, m) }); err != nil {
			return err
		}
	}
	v.reload.Lock()
	defer v.reload.Unlock()
	return v.mounts.Reload(ctx)
}

// commit runs change in a transaction of its own, anew after conflicts.
func (v *vault) commit(ctx context.Context, change func(*tx) error) error {
	for range maxRuns {
		t := begin(v.store)
		if err := change(t); err != nil {
			return err
		}
		_, err := t.Commit(ctx)
		if !errs.Is(err, errs.Conflict) || ctx.Err() != nil {
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the same entries; try again")
}
