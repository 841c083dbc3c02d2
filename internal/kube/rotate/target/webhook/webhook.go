package webhook

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
)

// Kind makes Targets of spec.target.webhook. The zero Kind is what the operator uses.
type Kind struct {
	// Private are the private networks where endpoints may be; see outbound.Config.
	Private []netip.Prefix
	// Loopback allows endpoints on this machine. For tests.
	Loopback bool
}

// hook is an endpoint that makes credentials, which the shelf publishes.
type hook struct {
	shelf  *shelf.Shelf
	cfg    target.Config
	spec   v1alpha1.WebhookTarget
	client *http.Client
}

var (
	_ target.Target    = hook{}
	_ target.Observer  = hook{}
	_ target.Rehearser = hook{}
)

// maxTimeout keeps an act within the minute that it has.
const maxTimeout = 45 * time.Second

// Open implements target.Kind.
func (kind Kind) Open(cfg target.Config) (target.Target, error) {
	if cfg.Spec.Webhook == nil {
		return nil, errs.New(errs.Invalid, "spec.target.webhook is missing")
	}
	spec := *cfg.Spec.Webhook
	if _, err := outbound.URL("spec.target.webhook.url", spec.URL); err != nil {
		return nil, err
	}
	if spec.SigningSecret == "" {
		return nil, errs.New(errs.Invalid, "spec.target.webhook.signingSecret is missing: name a Secret whose key \"key\" signs requests")
	}
	var timeout time.Duration
	if spec.Timeout != nil {
		timeout = spec.Timeout.Duration
		if timeout < time.Second || timeout > maxTimeout {
			return nil, errs.Newf(errs.Invalid, "spec.target.webhook.timeout: %v: it must be from 1s to %v", timeout, maxTimeout)
		}
	}
	s, err := shelf.New(cfg.Vault, spec.KVPath)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.webhook: %w", err)
	}
	client, err := outbound.Client(outbound.Config{CABundle: spec.CABundle, Timeout: timeout, Private: kind.Private, Loopback: kind.Loopback})
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.webhook.caBundle: %w", err)
	}
	return hook{s, cfg, spec, client}, nil
}

// Stage asks for a new credential, unless the turn has one.
func (h hook) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	return h.shelf.Stage(ctx, t, func(ctx context.Context, d shelf.Draft) (shelf.Staged, error) {
		answer, err := h.post(ctx, act{"stage", t, target.New}, nil)
		if err != nil {
			return shelf.Staged{}, err
		}
		values, err := valuesOf(answer)
		if err != nil {
			return shelf.Staged{}, err
		}
		if d.Live.Has(values) {
			return shelf.Staged{}, errs.New(errs.Invalid, "the webhook staged what readers see already: it must make a new credential for each turn")
		}
		return shelf.Staged{Values: values}, nil
	})
}

// Publish makes readers see side, and then says so.
func (h hook) Publish(ctx context.Context, t target.Turn, side target.Side) (target.State, error) {
	state, err := h.shelf.Publish(ctx, t, side)
	if err != nil {
		return state, err
	}
	return state, h.tell(ctx, act{"publish", t, side})
}

// Close implements target.Target.
func (h hook) Close(ctx context.Context, t target.Turn) error {
	if err := h.shelf.Close(ctx, t); err != nil {
		return err
	}
	return h.tell(ctx, act{"close", t, target.Old})
}

// Reopen implements target.Target.
func (h hook) Reopen(ctx context.Context, t target.Turn) error {
	if err := h.shelf.Reopen(ctx, t); err != nil {
		return err
	}
	return h.tell(ctx, act{"reopen", t, target.Old})
}

// Retire implements target.Target.
func (h hook) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	if err := h.shelf.BeginRetire(ctx, t, side); err != nil {
		return err
	}
	if err := h.tell(ctx, act{"retire", t, side}); err != nil {
		return err
	}
	return h.shelf.Retire(ctx, t, side)
}

// tell posts an act, as long as the turn is under way and there is a credential
// of that side.
func (h hook) tell(ctx context.Context, a act) error {
	v, err := h.shelf.Look(ctx, a.turn)
	if err != nil || v.Over || v.First && a.side == target.Old {
		return err
	}
	_, err = h.post(ctx, a, []shelf.Values{v.New, v.Old})
	return err
}

// Observe implements target.Observer: what readers see is the vault's affair.
func (h hook) Observe(ctx context.Context) (target.State, error) { return h.shelf.Observe(ctx) }

// Rehearse also asks the endpoint whether it could stage.
func (h hook) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	lines, err := h.shelf.Rehearse(ctx, t)
	if err != nil {
		return lines, err
	}
	if _, err := h.post(ctx, act{"rehearse", t, target.New}, nil); err != nil {
		return lines, err
	}
	return append(lines, "the webhook answers, and says that it could stage"), nil
}

// Removal implements target.Prover.
func (hook) Removal() (text string, proven bool) {
	return "the webhook answered that it is removed; no use of it was tried", false
}
