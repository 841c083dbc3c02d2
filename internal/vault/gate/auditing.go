package gate

import (
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// exchange is what the audit log is told of a call. The log keeps nothing of it,
// so it is used again for other calls.
type exchange struct {
	op       engine.Operation // as the request line has it
	auth     audit.Auth
	results  audit.PolicyResults
	granting [4]audit.Policy
	request  audit.Request
	answer   audit.Response
	entry    audit.Entry
	shared   audit.Shared
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// auditRequest queues the request's line. err is what denied the request, nil
// if it goes on. The line is waited for before a commit; a request that commits
// nothing waits only for its answer's line, which the log makes durable later
// or not at all.
func (c *call) auditRequest(err error) audit.Ticket {
	x := exchanges.Get().(*exchange)
	c.exchange = x
	c.describe()
	x.entry.Type, x.entry.Time, x.entry.Error = audit.TypeRequest, c.req.Time, auditError(err)
	return c.vault.Audit.Append(&x.entry, audit.Ticket{})
}

// auditResponse queues the answer's line, which does not stand without the
// request's, and ends the exchange.
func (c *call) auditResponse(res *engine.Response, err error, asked audit.Ticket) audit.Ticket {
	x := c.exchange
	if c.op != x.op {
		c.describe()
	}
	x.entry.Type, x.entry.Time, x.entry.Error = audit.TypeResponse, c.gate.cfg.Now().UTC(), auditError(err)
	x.entry.Response = c.auditedResponse(res)
	ticket := c.vault.Audit.Append(&x.entry, asked)
	c.exchange = nil
	x.shared.Reset()
	*x = exchange{shared: x.shared} // all else may hold secrets
	exchanges.Put(x)
	return ticket
}

// describe sets what both lines say. A conflict may make a create of an update
// in between; nothing else of it changes then but what follows from that.
func (c *call) describe() {
	x := c.exchange
	x.op = c.op
	x.shared.Reset() // what another operation says differs
	token := audit.Secret(c.bearer())
	x.entry.Auth = c.auditAuth(token)
	x.entry.Request = c.auditedRequest(token)
	x.entry.Shared = &x.shared
}

func auditError(err error) string {
	if err == nil {
		return ""
	}
	if errs.Is(err, errs.Internal) {
		return "internal error"
	}
	return err.Error()
}

func (c *call) auditAuth(token audit.Secret) *audit.Auth {
	e := c.token
	if e == nil {
		return nil
	}
	x := c.exchange
	x.results = audit.PolicyResults{Allowed: c.decision.Allowed}
	if c.decision.Allowed {
		x.results.GrantingPolicies = x.granting[:0]
		home, _ := c.vault.Home(e)
		for _, name := range c.decision.Policies() {
			x.results.GrantingPolicies = append(x.results.GrantingPolicies,
				audit.Policy{Name: name, NamespaceID: home.ID, NamespacePath: home.Path, Type: "acl"})
		}
	}
	x.auth = audit.Auth{
		ClientToken: token, Accessor: e.Accessor,
		DisplayName: e.DisplayName, Policies: c.policies(), TokenPolicies: e.Policies, IdentityPolicies: c.who.Own(),
		Metadata: e.Meta, EntityID: c.entityID(), TokenType: e.Type.String(),
		TokenTTL: e.TTL, TokenIssueTime: e.Created, PolicyResults: &x.results,
	}
	return &x.auth
}

func (c *call) auditMount() audit.Mount {
	if c.mount == nil {
		return audit.Mount{}
	}
	return audit.Mount{
		Point: c.mount.Path, Type: c.mount.Type, Accessor: c.mount.Accessor, Class: string(c.mount.Class),
		Version: c.gate.cfg.Version,
	}
}

func (c *call) auditedRequest(token audit.Secret) *audit.Request {
	r := &c.exchange.request
	*r = audit.Request{
		ID: c.req.ID, Operation: c.op.String(), Mount: c.auditMount(),
		ClientToken: token,
		Namespace:   c.auditNamespace(), Path: c.rel, Data: c.req.Body.Raw(),
		WrapTTL: c.req.WrapTTL,
	}
	if c.token != nil {
		r.ClientTokenAccessor = c.token.Accessor
	}
	if c.req.Remote.IsValid() {
		r.RemoteAddress, r.RemotePort = c.req.Remote.Addr().String(), int(c.req.Remote.Port())
	}
	if c.mount != nil {
		r.NonHMACKeys = c.mount.Config.NonHMACRequest
	}
	if selection := c.vault.Headers(); selection != nil {
		r.Headers = selection.Of(c.req.Headers)
	}
	return r
}

func (c *call) auditedResponse(res *engine.Response) *audit.Response {
	if res == nil {
		return nil
	}
	r := &c.exchange.answer
	*r = audit.Response{Mount: c.auditMount(), Data: res.Data, Warnings: res.Warnings}
	if c.mount != nil {
		r.NonHMACKeys = c.mount.Config.NonHMACResponse
	}
	if res.Lease != nil {
		r.LeaseID = res.Lease.ID
	}
	switch {
	case res.Raw == nil:
	case c.route != nil && c.route.Wrapping && res.Raw.ContentType == "application/json":
		// What was wrapped is on record value by value, like any answer.
		r.Data = res.Raw.Body
	default:
		r.Raw = &audit.Raw{Status: res.Raw.Status, ContentType: res.Raw.ContentType, Body: res.Raw.Body}
	}
	if w := res.Wrapped; w != nil {
		r.WrapInfo = &audit.WrapInfo{
			TTL: w.TTL, Token: audit.Secret(w.Token.RevealString()), Accessor: w.Accessor, WrappedAccessor: w.WrappedAccessor,
			CreationTime: w.Created, CreationPath: w.CreationPath,
		}
	}
	if a := res.Auth; a != nil && a.Issued != nil {
		r.Auth = &audit.Auth{
			ClientToken: audit.Secret(a.Issued.ClientToken), Accessor: a.Issued.Accessor,
			DisplayName: a.DisplayName, Policies: a.Issued.Policies, TokenPolicies: a.Issued.TokenPolicies, IdentityPolicies: a.Issued.IdentityPolicies,
			NoDefaultPolicy: a.Params.NoDefaultPolicy, Metadata: a.Metadata, EntityID: a.Issued.EntityID,
			TokenType: a.Issued.Type.String(), TokenTTL: a.Issued.TTL, NumUses: a.Issued.NumUses,
		}
	}
	return r
}
