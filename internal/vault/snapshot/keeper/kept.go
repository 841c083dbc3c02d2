package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
)

// ahead is how far in the future a snapshot may have been made, by this node's clock: more
// than the clocks of nodes differ. One that is further ahead does not count: until then
// none would be due, and every good one would be one too many.
const ahead = 5 * time.Minute

// Names are what has the name of a snapshot of the plan, the newest last.
func (p *Plan) Names(ctx context.Context, at place.Place) ([]string, error) {
	all, err := at.List(ctx, p.File+"-")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if _, ours := p.madeAt(name); ours {
			names = append(names, name)
		}
	}
	return names, nil
}

// kept are the plan's snapshots that count, the newest last, and when that was made. The
// newest is one that this node has read back from the place: what somebody else put there
// under such a name, or what was spoilt since, does not count, and is left for a person to
// look at.
func (k *Keeper) kept(ctx context.Context, p *Plan, at place.Place) (names []string, newest time.Time, err error) {
	names, err = p.Names(ctx, at)
	if err != nil {
		return nil, newest, err
	}
	for n := len(names) - 1; n >= 0; n-- {
		made, _ := p.madeAt(names[n])
		if made.After(k.cfg.Now().Add(ahead)) {
			k.bad(p, names[n], errs.New(errs.Invalid, "its name is of a time to come"))
			continue
		}
		err := k.judge(ctx, p, at, names[n], made)
		switch {
		case err == nil:
			return names[:n+1], made, nil
		case !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Internal) && !errs.Is(err, errs.NotExist):
			return nil, newest, err // the place cannot be read now
		}
		k.bad(p, names[n], err)
	}
	return nil, newest, nil
}

// judge reads a snapshot back, once.
func (k *Keeper) judge(ctx context.Context, p *Plan, at place.Place, name string, made time.Time) error {
	id := p.Name + "/" + name
	k.mu.Lock()
	known, judged := k.judged[id]
	k.mu.Unlock()
	if judged {
		return known
	}
	info, err := k.readBack(ctx, at, name)
	if err == nil && !info.Time.Equal(made) {
		err = errs.Newf(errs.Invalid, "it was made at %s and not when its name says", info.Time.Format(time.RFC3339))
	}
	if err == nil || errs.Is(err, errs.Invalid) {
		k.note(id, err)
	}
	return err
}

func (k *Keeper) note(id string, verdict error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.judged[id] = verdict
}

// bad tells of a file that does not count, once.
func (k *Keeper) bad(p *Plan, name string, why error) {
	id := p.Name + "/" + name
	k.mu.Lock()
	told := k.told[id]
	k.told[id] = true
	k.mu.Unlock()
	if !told {
		k.failed(p.Name, errs.Newf(errs.KindOf(why), "the snapshot %s does not count: %w; look who put it there, and remove it", name, why))
	}
}

// retire removes the oldest of too many, once there is a new one.
func (k *Keeper) retire(ctx context.Context, p *Plan, from place.Place, kept []string) error {
	var all []error
	for len(kept) > p.Retain {
		if err := from.Delete(ctx, kept[0]); err != nil {
			all = append(all, errs.Newf(errs.KindOf(err), "removing the snapshot %s, which is one too many: %w", kept[0], err))
		}
		kept = kept[1:]
	}
	k.change(p.Name, func(s *State) { s.Kept = len(kept) + len(all) })
	return errors.Join(all...)
}
