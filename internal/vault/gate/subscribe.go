package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// subscriptionQueue is how many events may wait for one subscriber before it
// is cut off to resync.
const subscriptionQueue = 1024

// Subscription is a stream of the events its caller may know of. It belongs to
// one goroutine.
type Subscription struct {
	gate  *Gate
	vault *unsealed.Vault
	sub   *events.Subscription
	req   Request
	ns    engine.Namespace
	next  *events.Message // taken from sub and not yet decided on; nil = none
}

// Subscribe checks rate limits, and token and policy of the request's path,
// audits it, and returns the stream of events whose type fits glob. The caller closes it.
func (g *Gate) Subscribe(ctx context.Context, req *Request, glob string) (*Subscription, error) {
	v, err := g.enter()
	if err != nil {
		return nil, err
	}
	defer v.Leave()
	if err := v.Current(); err != nil {
		return nil, err
	}
	c := call{vault: v, gate: g, req: req, op: req.Operation}
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
	err = c.identify(ctx)
	if err == nil {
		err = c.decide()
	}
	asked := c.auditRequest(err)
	var sub *events.Subscription
	if err == nil {
		sub, err = v.Events.Subscribe(glob, c.ns.Path, subscriptionQueue)
	}
	if auditErr := c.auditResponse(nil, err, asked).Wait(ctx); auditErr != nil {
		if sub != nil {
			sub.Close()
		}
		return nil, auditErr
	}
	c.afterUse(ctx)
	if err != nil {
		return nil, err
	}
	return &Subscription{gate: g, vault: v, sub: sub, req: *req, ns: c.ns}, nil
}

// Next returns the next event as JSON. For every event the caller's token and
// policy are asked anew whether it may read the path that changed or the data
// that is behind it, so that a revoked token hears nothing more, and who may
// read a secret hears of its undeletion too. Kind Exhausted: events were lost, the
// caller must read what it follows anew; Sealed or Unavailable: the vault
// closed; Unauthenticated: the token ended.
func (s *Subscription) Next(ctx context.Context) ([]byte, error) {
	for {
		if s.next == nil {
			m, err := s.sub.Next(ctx)
			if err != nil {
				return nil, err
			}
			s.next = m
		}
		m := s.next
		allowed, err := s.mayHear(ctx, m.Path, m.Metadata["data_path"])
		if err != nil {
			return nil, err // ctx may have ended: then the event is the next call's
		}
		s.next = nil
		if allowed {
			return m.JSON(), nil
		}
	}
}

// CheckToken returns an error once the subscriber's token is not valid any
// more; a quiet stream calls it now and then.
func (s *Subscription) CheckToken(ctx context.Context) error {
	_, err := s.mayHear(ctx)
	return err
}

// mayHear reports whether the subscriber may read one of paths; an empty one is none.
func (s *Subscription) mayHear(ctx context.Context, paths ...string) (bool, error) {
	v, err := s.gate.enter()
	if err != nil {
		return false, err
	}
	defer v.Leave()
	if v != s.vault {
		return false, errs.New(errs.Unavailable, "the vault was sealed in between; subscribe again")
	}
	if err := v.Current(); err != nil {
		return false, err // and other nodes hear what this one does not
	}
	// A token with counted uses has paid for the subscription as a whole.
	entry, err := valid(ctx, v, s.req.Token.RevealString(), s.req.Remote.Addr(), s.ns)
	if err != nil {
		return false, err
	}
	if by := v.Namespaces.Table().LockedBy(s.ns); by != nil {
		return false, namespace.ErrLocked(by)
	}
	who, err := v.Behind(ctx, v.Store, entry)
	if err != nil {
		return false, err
	}
	acl, _, err := v.Policies.ACLFor(ctx, v.Store, v.SubjectWith(entry, who))
	if err != nil {
		return false, err
	}
	for _, path := range paths {
		if path != "" && acl.Decide(policy.Query{Path: s.ns.Path + path, Want: policy.Read}).Allowed {
			return true, nil
		}
	}
	return false, nil
}

// Close ends the stream.
func (s *Subscription) Close() { s.sub.Close() }
