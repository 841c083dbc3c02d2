package manual

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
)

// Kind makes Targets of spec.target.manual.
type Kind struct{}

// key is made and revoked by a person.
type key struct {
	*shelf.Shelf
	rotation     string
	instructions string
}

var (
	_ target.Target      = key{}
	_ target.Observer    = key{}
	_ target.Rehearser   = key{}
	_ target.Confirmable = key{}
)

// Open implements target.Kind.
func (Kind) Open(cfg target.Config) (target.Target, error) {
	spec := cfg.Spec.Manual
	if spec == nil {
		return nil, errs.New(errs.Invalid, "spec.target.manual is missing")
	}
	s, err := shelf.New(cfg.Vault, spec.KVPath)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.target.manual: %w", err)
	}
	return key{s, cfg.Rotation, spec.Instructions}, nil
}

// Stage is Pending until somebody has provided a new key.
func (k key) Stage(ctx context.Context, t target.Turn) (target.State, error) {
	state, err := k.Shelf.Stage(ctx, t, k.take)
	if err != nil {
		return state, err
	}
	return state, k.Clear(ctx, t)
}

func (k key) take(ctx context.Context, d shelf.Draft) (shelf.Staged, error) {
	provided, err := k.Take(ctx)
	if err != nil {
		return shelf.Staged{}, err
	}
	namespace, name, _ := strings.Cut(k.rotation, "/")
	if len(provided) == 0 {
		return shelf.Staged{}, target.Pending(k.told(fmt.Sprintf("somebody must make a new key and provide it: strongkeep rotation provide -n %s %s PROPERTY=-", namespace, name)))
	}
	if d.Live.Has(provided) {
		return shelf.Staged{}, target.Pending(k.told("what was provided is what readers see already: make a new key and provide that"))
	}
	return shelf.Staged{Values: provided}, nil
}

// told adds where the person makes the key.
func (k key) told(text string) string {
	if k.instructions == "" {
		return text
	}
	return text + " (" + k.instructions + ")"
}

// Retire is Pending until somebody says that the key of side is revoked.
func (k key) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	if err := k.MayRetire(ctx, t, side); err != nil {
		return err
	}
	v, err := k.Look(ctx, t)
	if err != nil {
		return err
	}
	nothing := v.Over || side == target.Old && v.First
	if !nothing && !slices.Contains(v.Confirmed, side) {
		namespace, name, _ := strings.Cut(k.rotation, "/")
		return target.Pending(k.told(fmt.Sprintf("somebody must revoke the %s key where it was made, then: strongkeep rotation confirm-retired -n %s %s", side, namespace, name)))
	}
	return k.Shelf.Retire(ctx, t, side)
}

// Confirm implements target.Confirmable.
func (k key) Confirm(ctx context.Context, t target.Turn, side target.Side) error {
	return k.MarkRemoved(ctx, t, side)
}

// Removal implements target.Prover.
func (key) Removal() (text string, proven bool) {
	return "a person said that it is revoked where it was made; no use of it was tried", false
}
