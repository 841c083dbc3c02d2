package gate

import (
	"context"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// subscriptionQueue is how many events may wait for one subscriber before it
// is cut off to resync.
const subscriptionQueue = 1024

// Subscription is a stream of the events its caller may know of. It belongs to
// one goroutine.
type Subscription struct {
	gate  *Gate
	vault *vault
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
	defer v.leave()
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
	err = c.identify(ctx)
	if err == nil {
		err = c.decide()
	}
	asked := c.auditRequest(err)
	var sub *events.Subscription
	if err == nil {
		sub, err = v.events.Subscribe(glob, c.ns.Path, subscriptionQueue)
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
	defer v.leave()
	if v != s.vault {
		return false, errs.New(errs.Unavailable, "the vault was sealed in between; subscribe again")
	}
	// A token with counted uses has paid for the subscription as a whole.
	entry, err := v.valid(ctx, s.req.Token.RevealString(), s.req.Remote.Addr(), s.ns)
	if err != nil {
		return false, err
	}
	if by := v.namespaces.Table().LockedBy(s.ns); by != nil {
		return false, errLocked(by)
	}
	who, err := v.behind(ctx, v.store, entry)
	if err != nil {
		return false, err
	}
	acl, _, err := v.policies.ACLFor(ctx, v.store, v.subject(entry, who))
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

func (c *call) event(e engine.Event, revision uint64) events.Event {
	return mountEvent(c.mount, c.ns, e, revision, c.req.Time)
}

// mountEvent is what subscribers hear of a change within m.
func mountEvent(m *mount.Mount, ns engine.Namespace, e engine.Event, revision uint64, at time.Time) events.Event {
	metadata := maps.Clone(e.Metadata)
	if within, ok := metadata["data_path"]; ok {
		metadata["data_path"] = m.Path + within
	}
	return events.Event{
		ID: uuid.NewString(), Type: e.Type, Path: m.Path + e.Path, Namespace: ns.Path, Time: at, Revision: revision,
		Metadata: metadata, Mount: m.Path, MountClass: string(m.Class), MountAccessor: m.Accessor,
		Plugin: m.Type, PluginVersion: m.Options["version"],
	}
}
