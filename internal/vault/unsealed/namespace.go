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
// there. Kind Denied otherwise, whether or not there is such a namespace.
func (v *Vault) Reach(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error) {
	denied := errs.New(errs.Denied, "permission denied")
	ns, ok := v.Namespaces.Table().ByID(id)
	switch {
	case !ok || !namespace.Within(ns, req.Namespace):
		return engine.Namespace{}, denied
	case ns.Path == req.Namespace.Path || req.Caller.Root:
		return ns, nil
	}
	m, rest, ok := v.Mounts.Table().Find(ns, req.Mount+req.Path)
	if !ok {
		return engine.Namespace{}, denied
	}
	route, _, ok := m.Router.Match(rest)
	if !ok {
		return engine.Namespace{}, denied
	}
	who, err := v.Caller(ctx, tx, req)
	if err != nil {
		return engine.Namespace{}, err
	}
	acl, _, err := v.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return engine.Namespace{}, err
	}
	d := acl.Decide(policy.Query{Path: ns.Path + req.Mount + req.Path, Want: Capability(req.Operation), Params: &req.Body})
	if !d.Allowed || route.Sudo && !d.Sudo {
		return engine.Namespace{}, denied
	}
	return ns, nil
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
