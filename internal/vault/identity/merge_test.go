package identity

import (
	"context"
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// inGroups stores an entity that is in so many groups.
func (w *world) inGroups(name string, from, to int) *Entity {
	e := w.person(name).Clone()
	for i := from; i < to; i++ {
		e.Groups = append(e.Groups, fmt.Sprintf("group-%04d", i))
	}
	w.edit(func(_ context.Context, x Edit) error { return x.saveEntity(e) })
	return e
}

// Merge after merge an entity stays within the groups that joining one by one allows.
func TestMergeKeepsTheLimitOfGroups(t *testing.T) {
	w := newWorld(t)
	to := w.inGroups("to", 0, 100)
	merge := func(from ...*Entity) func(context.Context, Edit) error {
		return func(ctx context.Context, x Edit) error { return x.Merge(ctx, w.entity(to.ID), from, nil) }
	}
	w.edit(merge(w.inGroups("same", 0, 100)))
	w.edit(merge(w.inGroups("more", 100, 150)))
	w.edit(merge(w.inGroups("full", 100, maxEntityGroups)))
	over := w.inGroups("over", maxEntityGroups, maxEntityGroups+1)
	w.refused(errs.Invalid, "would be in 201 groups", merge(over))
	w.refused(errs.Invalid, "the limit is 200", merge(w.inGroups("none", 0, 0), over))
	if n := len(w.entity(to.ID).Groups); n != maxEntityGroups || w.entity(over.ID) == nil {
		t.Errorf("after a merge that was refused: %d groups; the other entity %v", n, w.entity(over.ID))
	}
}
