package gate

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// Explained is a denial that says why, for a caller that asked for it and may
// know. Its text is that of any denial; the wire sends Data beside it.
type Explained struct {
	error
	Data jsontext.Value // an object: policy.Explanation
}

// Unwrap returns the denial.
func (e *Explained) Unwrap() error { return e.error }

const (
	explainHeader = "X-Strongkeep-Explain"
	// explainPath is where anybody may be asked about: who may update it may also
	// be told why they were denied.
	explainPath = "sys/policies/explain"
)

// explain returns denied with the reasons, if the caller asked for them and may
// read them, else as it is.
func (c *call) explain(ctx context.Context, denied error) error {
	asked := c.req.Headers[explainHeader]
	if c.acl == nil || len(asked) == 0 || asked[0] != "true" && asked[0] != "1" {
		return denied
	}
	if !c.acl.Decide(policy.Query{Path: c.request.Caller.Namespace.Path + explainPath, Want: policy.Update}).Allowed {
		return denied
	}
	q := policy.Question{
		Query: policy.Query{Path: c.meant(), Want: unsealed.Capability(c.op), Params: &c.req.Body, WrapTTL: c.req.WrapTTL},
		Sudo:  c.route != nil && c.route.Sudo,
	}
	x, err := c.vault.Policies.Explain(ctx, c.vault.Store, c.subject, q)
	if err != nil {
		return denied
	}
	if x.Allowed { // of two spellings of the path the one that was written is denied
		q.Path = c.abs
		if x, err = c.vault.Policies.Explain(ctx, c.vault.Store, c.subject, q); err != nil {
			return denied
		}
	}
	data, err := engine.JSON(map[string]any{"explanation": x})
	if err != nil {
		return denied
	}
	return &Explained{denied, data}
}
