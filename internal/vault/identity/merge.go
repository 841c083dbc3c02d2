package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
)

// maxMerge is how many entities one merge takes in.
const maxMerge = 16

// Merge makes one entity of several: the aliases and groups of from become
// those of to, and so do their tokens; policies and metadata of from are
// dropped. Where both have an alias on one mount, keep must name which stays,
// and from must be one. Kind Invalid.
func (x Edit) Merge(ctx context.Context, to *Entity, from []*Entity, keep []string) error {
	if len(from) > maxMerge {
		return errs.Newf(errs.Invalid, "%d entities are more than one merge takes: merge at most %d at once", len(from), maxMerge)
	}
	next := to.Clone()
	next.Automatic = false
	next.Updated = x.m.now().UTC()
	for _, e := range from {
		stay, drop, err := settle(next, e, keep, len(from) == 1)
		if err != nil {
			return err
		}
		if err := x.DeleteEntity(ctx, e); err != nil {
			return err
		}
		for i := range drop {
			if err := x.dropAlias(ctx, next, &drop[i]); err != nil {
				return err
			}
		}
		for i := range stay {
			stay[i].MergedFrom = append(slices.Clone(stay[i].MergedFrom), e.ID)
		}
		next.Aliases = append(slices.DeleteFunc(next.Aliases, func(a Alias) bool {
			return slices.ContainsFunc(drop, func(d Alias) bool { return d.ID == a.ID })
		}), stay...)
		if err := x.takeGroups(next, e); err != nil {
			return err
		}
		next.Merged = append(append(slices.Clone(next.Merged), e.ID), e.Merged...)
		next.Seen, next.Until = max(next.Seen, e.Seen), max(next.Until, e.Until)
	}
	return x.saveMerged(next)
}

// saveMerged stores an entity and what leads to it and to those it took in.
func (x Edit) saveMerged(e *Entity) error {
	for i := range e.Aliases {
		if err := x.leadTo(e, &e.Aliases[i]); err != nil {
			return err
		}
	}
	for _, id := range e.Merged {
		if err := x.point(x.MergedKey(id), reference{Owner: e.ID}); err != nil {
			return err
		}
	}
	return x.saveEntity(e)
}

// settle says which of e's aliases come to entity to, and which of to's go.
func settle(to, e *Entity, keep []string, single bool) (stay, drop []Alias, err error) {
	var clashes []string
	for _, a := range e.Aliases {
		other := to.Alias(a.Accessor)
		switch {
		case other == nil:
			stay = append(stay, a)
		case !single || slices.Contains(keep, a.ID) == slices.Contains(keep, other.ID):
			clashes = append(clashes, a.Accessor+" ("+a.ID+", "+other.ID+")")
		case slices.Contains(keep, a.ID):
			stay, drop = append(stay, a), append(drop, *other)
		}
	}
	if clashes != nil {
		return nil, nil, errs.Newf(errs.Invalid,
			"toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the merge request specifying exactly one fromEntity, and in conflicting_alias_ids_to_keep which alias stays; clashes: %s",
			strings.Join(clashes, ", "))
	}
	return stay, drop, nil
}

// takeGroups puts entity to in the groups that e is in.
func (x Edit) takeGroups(to, e *Entity) error {
	groups := append(slices.Clone(to.Groups), e.Groups...)
	slices.Sort(groups)
	to.Groups = slices.Compact(groups)
	if len(to.Groups) > maxEntityGroups {
		return errs.Newf(errs.Invalid, "entity %s would be in %d groups with those of entity %s, and the limit is %d: take one of them out of some groups before the merge", to.ID, len(to.Groups), e.ID, maxEntityGroups)
	}
	for _, o := range e.External {
		if to.Alias(o.Accessor) != nil && !slices.ContainsFunc(to.External, func(t External) bool { return t.Accessor == o.Accessor }) {
			to.External = append(to.External, o)
		}
	}
	for _, group := range to.DirectGroups() {
		x.tx.Put(x.MemberFolder(group)+to.ID, []byte{record.Format})
	}
	return nil
}
