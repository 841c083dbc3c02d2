package gate

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/gate/path"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
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
	if err := path.Check(c.abs, c.op); err != nil {
		return err
	}
	c.ns, c.rel = c.vault.Namespaces.Table().Find(c.abs)
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

// checkLock refuses requests to a locked namespace and to all within it, except
// the one that unlocks it.
func (c *call) checkLock() error {
	by := c.vault.Namespaces.Table().LockedBy(c.ns)
	if by == nil || c.unlocks(by) {
		return nil
	}
	return namespace.ErrLocked(by)
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
	case c.mount.Type == "cubbyhole" && c.token != nil && c.token.Namespace != namespace.Key(c.ns):
		return errs.New(errs.Invalid, "a token's cubbyhole is in the token's own namespace: send that one's name as namespace")
	case !c.ns.Root() && c.route != nil && c.route.RootOnly:
		return errs.Newf(errs.Invalid, "%s must be called in the root namespace: unset VAULT_NAMESPACE or the X-Vault-Namespace header", c.rel)
	}
	return nil
}

// stillThere makes the commit of t fail if the request's namespace was deleted
// since the request found it.
func (c *call) stillThere(ctx context.Context, t *unsealed.Tx) error {
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
