package sys

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// vacant refuses a mount whose path begins with the name of a namespace. It makes
// tx conflict with the creation of one.
func (e *Engine) vacant(ctx context.Context, tx engine.Tx, ns engine.Namespace, path string) error {
	table, err := e.cfg.Namespaces.Fresh(ctx, tx)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(path, "/")
	if table.ByPath(ns.Path+first+"/") != nil {
		return errs.Newf(errs.Exist, "path is already in use at %s/, which is a namespace", first)
	}
	return nil
}

// namespaced are the routes that every namespace has, by the first segment of
// their path. All others belong to the root namespace alone: what is not named
// here cannot be reached from a tenant.
var namespaced = []string{ //nolint:gochecknoglobals // a constant
	"mounts", "auth", "remount", "policies", "policy", "capabilities", "capabilities-self", "capabilities-accessor",
	"namespaces", "internal", "wrapping", "leases", "renew", "revoke", "revoke-prefix", "revoke-force", "tools", "events", "control-group", "locked-users",
}

// rootOnly marks the routes that belong to the root namespace.
func rootOnly(routes []engine.Route) {
	for i := range routes {
		first, _, _ := strings.Cut(routes[i].Pattern, "/")
		found := false
		for _, name := range namespaced {
			found = found || name == first
		}
		routes[i].RootOnly = !found
	}
}

// shared refuses to change a mount that serves all namespaces from one of them.
func shared(m *mount.Mount, ns engine.Namespace) error {
	if m.Namespace == "" && !ns.Root() {
		return errs.Newf(errs.Invalid, "%q serves every namespace: it is tuned in the root namespace", m.Path)
	}
	return nil
}
