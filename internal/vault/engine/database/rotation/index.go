package rotation

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// The index of what is due: due/DAY/MINUTE/KIND-NAME. Folders are listed in any
// order, so two small ones are read, never all there is: the days (a year of
// them at most is usual), and the minutes of days that have come.

const (
	duePrefix = "due/"
	dayForm   = "20060102"
	timeForm  = "1504"
	workBatch = 128 // subjects that one Work takes
)

func (s Subject) key(due time.Time) string {
	kind := "s-"
	if s.Root {
		kind = "c-"
	}
	due = due.UTC()
	return duePrefix + due.Format(dayForm) + "/" + due.Format(timeForm) + "/" + kind + s.Name
}

func parseSubject(name string) (Subject, bool) {
	if len(name) < 3 || name[1] != '-' {
		return Subject{}, false
	}
	return Subject{Root: name[0] == 'c', Name: name[2:]}, true
}

// Requeue moves a subject from one time to another, in the transaction that stores its
// State; zero is none.
func Requeue(tx engine.Tx, s Subject, was, is time.Time) {
	if !was.IsZero() && (is.IsZero() || s.key(was) != s.key(is)) {
		tx.Delete(s.key(was))
	}
	if !is.IsZero() {
		tx.Put(s.key(is), []byte{1})
	}
}

// overdue is what Work has to do.
type overdue struct {
	now  []*Target
	next time.Time // when to look again; zero = when something changes
	more bool      // the batch was full
}

// wait has Work look again at t.
func (o *overdue) wait(t time.Time) {
	if o.next.IsZero() || t.Before(o.next) {
		o.next = t
	}
}

// find reads what is due at now. It removes index entries that lead nowhere.
func (r *Rotator) find(ctx context.Context, tx engine.Tx, now time.Time) (*overdue, error) {
	found := &overdue{}
	days, err := tx.List(ctx, duePrefix, "", 0)
	if err != nil {
		return nil, err
	}
	days = slices.Clone(days)
	slices.Sort(days)
	today := now.UTC().Format(dayForm)
	for _, day := range days {
		start, err := time.ParseInLocation(dayForm+"/", day, time.UTC)
		if err != nil {
			continue
		}
		// The minutes of the first day to come say when to look again.
		if err := r.findDay(ctx, tx, now, start, found); err != nil {
			return nil, err
		}
		if found.more || cmp.Compare(start.Format(dayForm), today) > 0 && !found.next.IsZero() {
			break
		}
	}
	return found, nil
}

func (r *Rotator) findDay(ctx context.Context, tx engine.Tx, now, day time.Time, found *overdue) error {
	folder := duePrefix + day.Format(dayForm) + "/"
	minutes, err := tx.List(ctx, folder, "", 0)
	if err != nil {
		return err
	}
	minutes = slices.Clone(minutes)
	slices.Sort(minutes)
	for _, name := range minutes {
		at, err := time.ParseInLocation(dayForm+timeForm+"/", day.Format(dayForm)+name, time.UTC)
		if err != nil {
			continue
		}
		if at.After(now) {
			found.wait(at)
			return nil
		}
		if err := r.findMinute(ctx, tx, now, folder+name, found); err != nil || found.more {
			return err
		}
	}
	return nil
}

func (r *Rotator) findMinute(ctx context.Context, tx engine.Tx, now time.Time, folder string, found *overdue) error {
	names, err := tx.List(ctx, folder, "", 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		s, ok := parseSubject(name)
		if !ok {
			continue
		}
		t, err := r.load(ctx, tx, s)
		switch {
		case err != nil:
			return err
		case t == nil || s.key(t.State.Due) != folder+name:
			tx.Delete(folder + name)
		case t.State.Due.After(now):
			found.wait(t.State.Due)
		default:
			found.now = append(found.now, t)
			if found.more = len(found.now) >= workBatch; found.more {
				return nil
			}
		}
	}
	return nil
}
