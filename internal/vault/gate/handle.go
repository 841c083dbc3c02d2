package gate

import (
	"context"
	"errors"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// Handle answers one request. A nil Response with a nil error is an answer
// without content. Errors are meant for the client word for word, except those
// of kind Internal. Sealed is the answer while the vault is sealed.
func (g *Gate) Handle(ctx context.Context, req *Request) (*engine.Response, error) {
	v, err := g.enter()
	if err != nil {
		return nil, err
	}
	res, err := g.serve(ctx, v, req)
	if v.SealAsked() {
		g.closeVault(v)
	}
	return res, err
}

// serve answers a request inside v and leaves it. Who panics must neither keep
// the vault from being sealed nor the caller from an answer.
func (g *Gate) serve(ctx context.Context, v *unsealed.Vault, req *Request) (res *engine.Response, err error) {
	defer v.Leave()
	c := call{vault: v, gate: g, req: req, op: req.Operation}
	defer func() { g.observe(&c, err) }()
	defer survive(&res, &err)
	if err := g.current(v); err != nil {
		return nil, err
	}
	res, err = c.do(ctx)
	index, indexErr := v.Indexes.Index(ctx)
	if indexErr != nil && err == nil {
		return nil, indexErr
	}
	req.Index = index
	return res, err
}

// survive, deferred, makes an internal error of a panic.
func survive(res **engine.Response, err *error) {
	if p := recover(); p != nil {
		*res, *err = nil, errs.Panicked(p)
	}
}

// call is one request on its way. Its steps are the methods below, in order.
type call struct {
	vault *unsealed.Vault
	gate  *Gate
	req   *Request

	ns       engine.Namespace
	abs, rel string        // the path from the root, and within ns
	nowhere  bool          // the header names no namespace; ns is the deepest there is above it
	mount    *mount.Mount  // nil if the path is below no mount
	route    *engine.Route // nil if the mount has no such path
	request  engine.Request
	op       engine.Operation  // req.Operation, with Create told from Update
	clear    string            // the token, once bearer copied it
	token    *token.Entry      // nil if unauthenticated
	lastUse  bool              // this request takes the token's last counted use
	who      *identity.Subject // the entity behind the token; nil = none
	subject  policy.Subject    // the token's policies and the entity's
	acl      *policy.ACL
	decision policy.Decision
	leased   *lease.Record // made by the present run
	issued   *token.Entry  // likewise, of a login
	exchange *exchange     // from auditRequest to auditResponse
}

// do is the path of every request.
func (c *call) do(ctx context.Context) (*engine.Response, error) {
	if err := c.locate(); err != nil {
		return nil, err
	}
	if logged, err := c.admit(); err != nil {
		if logged {
			err = c.refuse(ctx, err)
		}
		return nil, err
	}
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	t := c.vault.Begin()
	err := c.identify(ctx)
	if err == nil {
		err = c.authorize(ctx, t)
	}
	asked := c.auditRequest(err)
	var res *engine.Response
	if err == nil {
		res, err = c.run(ctx, t, asked)
		err = c.veiled(ctx, err)
	}
	auditErr := c.auditResponse(res, err, asked).Wait(ctx)
	c.afterUse(ctx)
	if auditErr != nil {
		return nil, auditErr
	}
	if errors.Is(err, errDenied) {
		err = c.explain(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// locate checks the path and finds namespace, mount and route. It reveals nothing yet:
// whether a path exists is told only to those whom policy lets ask.
func (c *call) locate() error {
	if err := c.place(); err != nil {
		return err
	}
	c.request = engine.Request{
		ID: c.req.ID, Operation: c.op, Namespace: c.ns, Body: c.req.Body,
		Remote: c.req.Remote.Addr(), Certificates: c.req.Certificates, Time: c.req.Time, WrapTTL: c.req.WrapTTL,
	}
	if c.nowhere {
		return nil
	}
	m, rest, ok := c.vault.Mounts.Table().Find(c.ns, c.rel)
	if !ok {
		return nil
	}
	c.mount = m
	c.request.Mount, c.request.Path = m.Path, rest
	if route, params, ok := m.Router.Match(rest); ok {
		c.route, c.request.Params = route, params
	}
	c.request.Headers = passThrough(c.req.Headers, m.Config.PassthroughHeaders)
	return nil
}

// catchUp has the request be answered of a state as new as the client has seen. It comes behind the
// rate limits, for it may wait; the mount may be another one afterwards.
func (c *call) catchUp(ctx context.Context) error {
	if len(c.req.Indexes) == 0 {
		return nil
	}
	if err := c.vault.Indexes.CatchUp(ctx, c.req.Indexes, !c.req.Impatient); err != nil {
		return err
	}
	if err := c.gate.current(c.vault); err != nil { // it may have waited for longer than memory is believed
		return err
	}
	c.mount, c.route, c.nowhere = nil, nil, false
	return c.locate()
}

func passThrough(headers map[string][]string, names []string) map[string][]string {
	if len(names) == 0 {
		return nil
	}
	passed := make(map[string][]string, len(names))
	for _, name := range names {
		if v, ok := headers[name]; ok {
			passed[name] = v
		}
	}
	return passed
}

// open reports whether the route asks for no token.
func (c *call) open() bool { return c.route != nil && c.route.Unauthenticated }

// tx returns the engine's view of t.
func (c *call) tx(t *unsealed.Tx) engine.Tx {
	if c.route != nil && c.route.ReadsOnly(c.op) {
		return mount.Confine(c.vault.Reads, c.mount.Storage())
	}
	return mount.Confine(t, c.mount.Storage())
}

// run calls the engine and commits, again as long as other commits interfere. An
// engine that panics ends in an error that is audited like any other.
func (c *call) run(ctx context.Context, t *unsealed.Tx, asked audit.Ticket) (res *engine.Response, err error) {
	defer survive(&res, &err)
	if c.actsBeyond() {
		if err := asked.Wait(ctx); err != nil {
			return nil, err
		}
	}
	for range unsealed.MaxRuns {
		res, err := c.runOnce(ctx, t, asked)
		if !errors.Is(err, errRerun) {
			return res, err
		}
		t = c.vault.Begin()
		if err := c.decideAnew(ctx, t); err != nil {
			return nil, err
		}
	}
	return nil, errs.New(errs.Unavailable, "too many other requests change the same entries; try again")
}

// decideAnew asks everything again that a commit of another may have changed:
// the mount, the policies, and whether an update is now a create.
func (c *call) decideAnew(ctx context.Context, t *unsealed.Tx) error {
	if err := c.checkLock(); err != nil {
		return err
	}
	if err := c.stillMounted(ctx, t); err != nil {
		return err
	}
	if c.token != nil {
		if err := c.readPolicies(ctx); err != nil {
			return err
		}
	}
	if err := c.resolve(ctx, t); err != nil {
		return err
	}
	return c.decide()
}

// stillValid makes the commit of t depend on the token's validity: whoever
// revoked it, and was told so, need not fear a write that was under way.
func (c *call) stillValid(ctx context.Context, t *unsealed.Tx) error {
	if c.token == nil || c.token.Type == token.Batch || c.route == nil || c.route.ReadsOnly(c.op) || c.ownWrapping(c.token) {
		return nil
	}
	if _, err := c.vault.Tokens.Get(ctx, t, c.token.Key); err != nil {
		return err
	}
	return c.sameEntity(ctx, t)
}

// actsBeyond reports whether the handler may do more than its transaction says:
// sys/ seals the vault and rotates its keys. That must be on record before.
func (c *call) actsBeyond() bool {
	reads := c.op == engine.Read || c.op == engine.List || c.op == engine.Help
	return c.mount != nil && c.mount.Class == mount.System && !reads
}

// errRerun says that a commit met a conflict. It never leaves the package.
var errRerun = errs.New(errs.Conflict, "the state changed under the request")

func (c *call) runOnce(ctx context.Context, t *unsealed.Tx, asked audit.Ticket) (*engine.Response, error) {
	res, err := c.answer(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.Writes() > 0 {
		if err := c.commit(ctx, t, asked); err != nil {
			return nil, err
		}
	}
	if res == nil || res.After == nil {
		return res, nil
	}
	if err := asked.Wait(ctx); err != nil {
		return nil, err
	}
	if err := c.after(ctx, res); err != nil {
		c.takeBack(ctx, res)
		return nil, err
	}
	return res, nil
}

// answer calls the handler, and makes in t the token, the lease and the wrapping
// of what it gives.
func (c *call) answer(ctx context.Context, t *unsealed.Tx) (*engine.Response, error) {
	handler, err := c.handler()
	if err != nil {
		return nil, err
	}
	if err := c.stillValid(ctx, t); err != nil {
		return nil, err
	}
	c.issued = nil
	res, err := handler(ctx, c.tx(t), &c.request)
	if err != nil {
		return nil, err
	}
	if res != nil && res.Auth != nil && res.Auth.Issued == nil {
		if err := c.issue(ctx, t, res); err != nil {
			return nil, err
		}
	}
	if err := c.lease(ctx, t, res); err != nil {
		return nil, err
	}
	return c.wrap(ctx, t, c.warnOfUnknown(res))
}

// commit makes what the handler changed durable, once the request is on record.
// errRerun: another request changed what this one read.
func (c *call) commit(ctx context.Context, t *unsealed.Tx, asked audit.Ticket) error {
	if err := c.stillMounted(ctx, t); err != nil {
		return err
	}
	if err := asked.Wait(ctx); err != nil {
		return err
	}
	// The client may go away now; whether the commit happened must not depend on it.
	ctx = context.WithoutCancel(ctx)
	if err := c.vault.Announce(t, c.mount, c.ns, c.req.Time); err != nil {
		return err
	}
	revision, err := t.Commit(ctx)
	if errs.Is(err, errs.Conflict) {
		return errRerun
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "committing the request: %w", err)
	}
	return c.committed(ctx, t, revision)
}

// handler returns what serves the operation, or the wire's own errors for a
// path nobody serves. It comes after policy, so it tells strangers nothing.
func (c *call) handler() (engine.Handler, error) {
	switch {
	case c.mount == nil:
		return nil, c.noRoute()
	case c.op == engine.Help:
		return c.help, nil
	case c.route == nil:
		return nil, errs.New(errs.NotExist, "1 error occurred:\n\t* unsupported path\n\n")
	}
	if err := c.belongs(); err != nil {
		return nil, err
	}
	if h := c.route.Handler(c.op); h != nil {
		return h, nil
	}
	return nil, errs.New(errs.Unsupported, "1 error occurred:\n\t* unsupported operation\n\n")
}

func (c *call) help(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return c.mount.Router.Help(c.mount.Path, c.request.Path), nil
}
