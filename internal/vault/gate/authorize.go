package gate

import (
	"context"
	"net/netip"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

// The two texts that clients compare with (facts §2.1): one for a token that is
// not known, one for a token whose policies do not allow the request.
var (
	errNoToken = errs.New(errs.Unauthenticated, "permission denied")
	errDenied  = errs.New(errs.Denied, "1 error occurred:\n\t* permission denied\n\n")
)

// identify finds the token's entry and its compiled policies, and counts one use.
func (c *call) identify(ctx context.Context) error {
	if c.route != nil && c.route.Wrapping {
		c.request.Token = c.req.Token
	}
	if c.open() {
		c.recognise(ctx)
		return c.checkLock()
	}
	entry, err := valid(ctx, c.vault, c.bearer(), c.req.Remote.Addr(), c.ns)
	if err != nil {
		return c.badToken(err)
	}
	if err := c.checkLock(); err != nil {
		return err
	}
	if entry.NumUses != 0 && !c.ownWrapping(entry) {
		if err := c.countUse(ctx, entry); err != nil {
			return err
		}
	}
	return c.know(ctx, entry)
}

// recognise finds who asks on an open route that shows more to those who have a
// token. One that is not valid is as none.
func (c *call) recognise(ctx context.Context) {
	if !c.route.Recognises || c.bearer() == "" {
		return
	}
	entry, err := valid(ctx, c.vault, c.bearer(), c.req.Remote.Addr(), c.ns)
	if err == nil {
		err = c.know(ctx, entry)
	}
	if err != nil {
		c.token, c.who, c.acl, c.subject, c.request.Caller = nil, nil, nil, policy.Subject{}, engine.Caller{}
	}
}

// know sets who asks, and reads its policies.
func (c *call) know(ctx context.Context, entry *token.Entry) error {
	c.token = entry
	if c.req.Known != nil {
		defer func() { c.req.Known(c.entityID()) }()
	}
	if err := c.readPolicies(ctx); err != nil {
		return err
	}
	c.request.Caller = engine.Caller{
		TokenKey: entry.Key, Accessor: entry.Accessor, DisplayName: entry.DisplayName,
		EntityID: c.entityID(), Namespace: namespace.Root, Policies: c.subject.Names, Metadata: entry.Meta,
		Root: c.acl.IsRoot(),
	}
	if entry.Namespace != "" {
		c.request.Caller.Namespace, _ = c.vault.Home(entry)
	}
	if entry.Type == token.Batch {
		// Nothing may be kept for a token whose end nobody notices.
		c.request.Caller.TokenKey = ""
	}
	if c.mount != nil && c.mount.Class == mount.System && c.mount.Path == mount.AuthPrefix+"token/" {
		c.request.Token = c.req.Token
	}
	return nil
}

// badToken is the error for a token that is not valid: of one that is presented
// to be unwrapped clients know another text.
func (c *call) badToken(err error) error {
	if c.route != nil && c.route.Wrapping && !c.req.Body.Has("token") && errs.Is(err, errs.Unauthenticated) {
		return wrapping.ErrToken
	}
	return err
}

// bearer returns the request's token in the clear, copied out once.
func (c *call) bearer() string {
	if c.clear == "" {
		c.clear = c.req.Token.RevealString()
	}
	return c.clear
}

// valid returns the entry of a request's token if it may be used now, here: a
// token is of use in its own namespace and below.
func valid(ctx context.Context, v *unsealed.Vault, clientToken string, remote netip.Addr, ns engine.Namespace) (*token.Entry, error) {
	if clientToken == "" {
		return nil, errNoToken
	}
	entry, err := v.Tokens.Lookup(ctx, v.Store, clientToken)
	if err != nil {
		return nil, err
	}
	if !entry.AllowsAddr(remote) {
		return nil, errNoToken
	}
	if !v.Usable(entry, ns) {
		return nil, errNoToken
	}
	return entry, nil
}

// authorize tells create from update and asks policy.
func (c *call) authorize(ctx context.Context, t *unsealed.Tx) error {
	if err := c.resolve(ctx, t); err != nil {
		return err
	}
	return c.decide()
}

// resolve decides between Create and Update by the route's Exists, reading in
// the request's own transaction: if the answer changes, the commit conflicts.
func (c *call) resolve(ctx context.Context, t *unsealed.Tx) error {
	if c.req.Operation != engine.Update || c.route == nil || c.route.Exists == nil {
		return nil
	}
	there, err := c.route.Exists(ctx, mount.Confine(t, c.mount.Storage()), &c.request)
	if err != nil {
		return err
	}
	c.op = engine.Create
	if there {
		c.op = engine.Update
	}
	c.request.Operation = c.op
	return nil
}

// decide asks policy. An unauthenticated route is open to all.
func (c *call) decide() error {
	switch {
	case c.open():
		c.decision = policy.Decision{Allowed: true}
		return nil
	case c.op == engine.Help || c.route != nil && c.route.TokenOnly:
		c.decision = policy.Decision{Allowed: c.mayKnow()}
		if !c.decision.Allowed {
			return errDenied
		}
		return nil
	}
	c.decision = c.acl.DecideBoth(policy.Query{Path: c.abs, Want: unsealed.Capability(c.op), Params: &c.req.Body, WrapTTL: c.req.WrapTTL}, c.meant())
	c.request.Caller.Sudo = c.decision.Sudo
	if !c.decision.Allowed || c.route != nil && c.route.Sudo && !c.decision.Sudo {
		c.decision.Allowed = false
		return errDenied
	}
	return nil
}

// mayKnow reports whether the caller may learn what is at the path without being
// granted it: whatever is mounted in its token's own namespace, and elsewhere
// only where policy grants it something.
func (c *call) mayKnow() bool {
	if c.mount == nil {
		return c.acl.AnyUnder(c.abs) || c.acl.Capabilities(c.abs)[0] != policy.Deny.String()
	}
	return c.ns.Path == c.request.Caller.Namespace.Path || c.acl.AnyUnder(c.ns.Path)
}

// meant is the path that the handler will act on, which the route may spell
// differently: a deny of it must hold for every spelling.
func (c *call) meant() string {
	if c.route == nil || c.route.Canonical == nil {
		return c.abs
	}
	return c.ns.Path + c.mount.Path + c.route.Canonical(c.request.Path)
}
