package unsealed

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Home returns the namespace of a token. One that was deleted cannot be used;
// Lookup has refused the token then, or is about to.
func (v *Vault) Home(e *token.Entry) (engine.Namespace, bool) {
	if e.Namespace == "" {
		return namespace.Root, true
	}
	return v.Namespaces.Table().ByID(e.Namespace)
}

// Usable reports whether a token is of use to requests in ns: those of its own
// namespace and below.
func (v *Vault) Usable(e *token.Entry, ns engine.Namespace) bool {
	home, ok := v.Home(e)
	return ok && namespace.Within(ns, home)
}

// alone is whom the policies of a token are asked for without its entity: those of its own namespace.
func (v *Vault) alone(e *token.Entry) policy.Subject {
	s := policy.Subject{Names: e.Policies}
	if ns, ok := v.Home(e); ok {
		s.Namespace = policy.Namespace(ns)
	} else {
		s.Names = nil
	}
	return s
}

// Reach returns the namespace with this ID ("" = the root) if it is the
// request's, or lies below that and policy allows the caller the same request
// there. Kind Denied otherwise, whether or not there is such a namespace;
// Unavailable, told only to who may go there, if it is locked.
func (v *Vault) Reach(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error) {
	ns, ok := v.Namespaces.Table().ByID(id)
	if !ok || !namespace.Within(ns, req.Namespace) {
		return engine.Namespace{}, errOutOfReach
	}
	if ns.Path == req.Namespace.Path {
		return ns, nil // the gate let the request in there
	}
	if !req.Caller.Root {
		if err := v.allowed(ctx, tx, req, ns); err != nil {
			return engine.Namespace{}, err
		}
	}
	if by := v.Namespaces.Table().LockedBy(ns); by != nil {
		return engine.Namespace{}, namespace.ErrLocked(by)
	}
	return ns, nil
}

var errOutOfReach = errs.New(errs.Denied, "permission denied")

// allowed asks policy for the same request in ns. Kind Denied: it is refused.
func (v *Vault) allowed(ctx context.Context, tx engine.Tx, req *engine.Request, ns engine.Namespace) error {
	m, rest, ok := v.Mounts.Table().Find(ns, req.Mount+req.Path)
	if !ok {
		return errOutOfReach
	}
	route, _, ok := m.Router.Match(rest)
	if !ok {
		return errOutOfReach
	}
	who, err := v.Caller(ctx, tx, req)
	if err != nil {
		return err
	}
	acl, _, err := v.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return err
	}
	written := ns.Path + req.Mount + req.Path
	meant := written
	if route.Canonical != nil {
		meant = ns.Path + m.Path + route.Canonical(rest)
	}
	d := acl.DecideBoth(policy.Query{Path: written, Want: Capability(req.Operation), Params: &req.Body, WrapTTL: req.WrapTTL}, meant)
	if !d.Allowed || route.Sudo && !d.Sudo {
		return errOutOfReach
	}
	return nil
}

// Capability is what policy must grant for an operation.
func Capability(op engine.Operation) policy.Capability {
	switch op {
	case engine.Read:
		return policy.Read
	case engine.Create:
		return policy.Create
	case engine.Update:
		return policy.Update
	case engine.Patch:
		return policy.Patch
	case engine.Delete:
		return policy.Delete
	case engine.List:
		return policy.List
	}
	return 0
}
