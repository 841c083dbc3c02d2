package gate

import (
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// auditRequest queues the request's line. err is what denied the request, nil
// if it goes on. The line is waited for before a commit; a request that commits
// nothing waits only for its answer's line, which the log makes durable later
// or not at all.
func (c *call) auditRequest(err error) audit.Ticket {
	return c.vault.audit.Append(&audit.Entry{
		Type: audit.TypeRequest, Time: c.req.Time,
		Auth: c.auditAuth(), Request: c.auditedRequest(), Error: auditError(err),
	}, audit.Ticket{})
}

// auditResponse queues the answer's line, which does not stand without the request's.
func (c *call) auditResponse(res *engine.Response, err error, asked audit.Ticket) audit.Ticket {
	return c.vault.audit.Append(&audit.Entry{
		Type: audit.TypeResponse, Time: c.gate.cfg.Now().UTC(),
		Auth: c.auditAuth(), Request: c.auditedRequest(), Response: c.auditedResponse(res), Error: auditError(err),
	}, asked)
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

func (c *call) auditAuth() *audit.Auth {
	e := c.token
	if e == nil {
		return nil
	}
	a := &audit.Auth{
		ClientToken: audit.Secret(c.req.Token.RevealString()), Accessor: e.Accessor,
		DisplayName: e.DisplayName, Policies: e.Policies, TokenPolicies: e.Policies,
		Metadata: e.Meta, EntityID: e.EntityID, TokenType: e.Type.String(),
		TokenTTL: e.TTL, TokenIssueTime: e.Created,
		PolicyResults: &audit.PolicyResults{Allowed: c.decision.Allowed},
	}
	if c.decision.Allowed {
		for _, name := range c.decision.Policies() {
			a.PolicyResults.GrantingPolicies = append(a.PolicyResults.GrantingPolicies,
				audit.Policy{Name: name, NamespaceID: "root", Type: "acl"})
		}
	}
	return a
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

func (c *call) auditedRequest() *audit.Request {
	r := &audit.Request{
		ID: c.req.ID, Operation: c.op.String(), Mount: c.auditMount(),
		ClientToken: audit.Secret(c.req.Token.RevealString()),
		Namespace:   audit.Namespace{ID: "root"}, Path: c.req.Path, Data: c.req.Body.Raw(),
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
	return r
}

func (c *call) auditedResponse(res *engine.Response) *audit.Response {
	if res == nil {
		return nil
	}
	r := &audit.Response{Mount: c.auditMount(), Data: res.Data, Warnings: res.Warnings}
	if c.mount != nil {
		r.NonHMACKeys = c.mount.Config.NonHMACResponse
	}
	if res.Lease != nil {
		r.LeaseID = res.Lease.ID
	}
	if res.Raw != nil {
		r.Raw = &audit.Raw{Status: res.Raw.Status, ContentType: res.Raw.ContentType, Body: res.Raw.Body}
	}
	if a := res.Auth; a != nil && a.Issued != nil {
		r.Auth = &audit.Auth{
			ClientToken: audit.Secret(a.Issued.ClientToken), Accessor: a.Issued.Accessor,
			DisplayName: a.DisplayName, Policies: a.Issued.Policies, TokenPolicies: a.Issued.TokenPolicies,
			NoDefaultPolicy: a.Params.NoDefaultPolicy, Metadata: a.Metadata, EntityID: a.Issued.EntityID,
			TokenType: a.Issued.Type.String(), TokenTTL: a.Issued.TTL, NumUses: a.Issued.NumUses,
		}
	}
	return r
}
