package adoption

import (
	"bytes"
	"context"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
)

// Apply does what p says. Before anything in the cluster is written it is proven that
// the vault and the store give back the bytes that the Secrets hold; every state of each
// Secret from the beginning to the end is looked at: it must be the same object with the
// same data. No API server takes an ExternalSecret on the condition that a Secret is of
// some version: a write of somebody else between the proof and the operator's is not
// prevented, and is a Conflict. It may be called again, and so may Plan after it: what is
// there already is proven and not written.
func (a *Adopter) Apply(ctx context.Context, p *Adoption) error {
	all, err := a.watch(ctx, p)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "%w; nothing was done: look at the plan again", err)
	}
	defer all.close()
	wrote := "nothing"
	if p.absent {
		if err := a.write(ctx, p); err != nil {
			return err
		}
		wrote = p.path + " in the vault, and nothing in the cluster"
	}
	err = a.prove(ctx, p)
	if err == nil {
		err = all.settle(ctx)
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "%w; this wrote %s", err, wrote)
	}
	if err := a.create(ctx, p); err != nil {
		return err
	}
	if err := all.settle(ctx); err != nil {
		return p.between(err)
	}
	if err := a.await(ctx, p, all); err != nil {
		return err
	}
	if err := all.settle(ctx); err != nil {
		return p.between(err)
	}
	return nil
}

// between is the error of a Secret that did not stay as it was while an operator came.
func (p *Adoption) between(err error) error {
	return errs.Newf(errs.KindOf(err), "%w. The ExternalSecrets are there, and what %s of the vault holds is written over each of their Secrets: find out which value is right, and write that into the vault", err, p.path)
}

// write creates the value. One that is there already may be of a run whose answer was
// lost: the same is as good.
func (a *Adopter) write(ctx context.Context, p *Adoption) error {
	err := a.Vault.Create(ctx, p.path, p.fields.values())
	if errs.Is(err, errs.Exist) || errs.Is(err, errs.Conflict) {
		if have, other := a.Vault.Read(ctx, p.path); other == nil && have != nil {
			if other := p.fields.same(have, p.path); other != nil {
				return errs.Newf(errs.KindOf(other), "%w; nothing was done", other)
			}
			err = nil
		}
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "writing %s into the vault: %w; in the cluster nothing was done", p.path, err)
	}
	p.absent = false
	return nil
}

// create does the steps that an earlier call has not done.
func (a *Adopter) create(ctx context.Context, p *Adoption) error {
	rest := *p.Plan
	rest.Steps = nil
	for _, s := range p.Steps {
		there, err := a.there(ctx, &s)
		if err != nil {
			return err
		}
		if !there {
			rest.Steps = append(rest.Steps, s)
		}
	}
	return remedy.Apply(ctx, a.Client, &rest, false)
}

// prove compares what the vault has, and what an operator would make by the store of
// each ExternalSecret, with what the Secrets hold.
func (a *Adopter) prove(ctx context.Context, p *Adoption) error {
	have, err := a.Vault.Read(ctx, p.path)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading %s back: %w", p.path, err)
	}
	if err := p.fields.same(have, p.path); err != nil {
		return err
	}
	for _, t := range p.taken {
		if t.es == nil {
			continue
		}
		if err := a.proveOne(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}

func (a *Adopter) proveOne(ctx context.Context, t *taken) error {
	made, err := a.Maker.Secret(ctx, t.es)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "asking the store what it would give Secret %s: %w (with your own rights: create on serviceaccounts/token, or get on the Secret of its credential, and a way to the vault from here)", t, err)
	}
	live, err := a.secret(ctx, t.NamespacedName)
	if err != nil {
		return err
	}
	if made.Secret == nil || len(made.Secret.Data) != len(live.Data) {
		return errs.Newf(errs.Conflict, "by its store, Secret %s would get other keys than it has: does the store read the vault that this writes to?", t)
	}
	for key, value := range made.Secret.Data {
		if have, ok := live.Data[key]; !ok || !bytes.Equal(have, value) {
			return errs.Newf(errs.Conflict, "by its store, key %s of Secret %s would get another value than it has: does the store read the vault that this writes to?", key, t)
		}
	}
	return nil
}

// lookEvery is how often it is looked whether an operator has come.
const lookEvery = 200 * time.Millisecond

// await waits until an operator has taken up each ExternalSecret.
func (a *Adopter) await(ctx context.Context, p *Adoption, all sights) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for began := a.Now(); ; {
		late, err := a.late(ctx, p)
		if err != nil || len(late) == 0 {
			return err
		}
		if err := all.look(ctx); err != nil {
			return p.between(err)
		}
		if a.Now().Sub(began) >= a.Wait {
			return errs.Newf(errs.Unavailable, "not ready in %s: %s. %s. Does an operator run that answers for the store? strongkeep doctor externalsecret says more; called again, this goes on from here", a.Wait, strings.Join(late, "; "), state(ctx, all))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// state says what the Secrets hold now, for people.
func state(ctx context.Context, all sights) string {
	if err := all.settle(ctx); err != nil {
		return "Looking at the Secrets once more: " + err.Error()
	}
	return "The Secrets were looked at once more and are as they were"
}

// late names the ExternalSecrets that are not ready yet, and says why.
func (a *Adopter) late(ctx context.Context, p *Adoption) ([]string, error) {
	var out []string
	for _, t := range p.taken {
		if t.es == nil {
			continue
		}
		var es v1.ExternalSecret
		err := a.Client.Get(ctx, t.NamespacedName, &es)
		switch {
		case apierrors.IsNotFound(err):
			out = append(out, "ExternalSecret "+t.String()+" does not exist yet")
		case err != nil:
			return nil, explain(err, "reading ExternalSecret "+t.String())
		case !v1.IsReady(es.Status.Conditions) || es.Status.SyncedResourceVersion == "":
			why := "no operator has looked at it"
			if c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady); c != nil {
				why = c.Message
			}
			out = append(out, "ExternalSecret "+t.String()+": "+why)
		}
	}
	return out, nil
}
