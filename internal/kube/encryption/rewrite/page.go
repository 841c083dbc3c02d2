package rewrite

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// tries is how often a request is made that the API server does not answer, or
// answers with an error of its own, each after a longer wait: a minute in all.
const tries = 8

// backoff is how long to wait after so many failures.
func backoff(failed int) time.Duration { return 250 * time.Millisecond << min(failed, 6) }

// listed is the page where the note stands. A token that has become too old is
// answered with one that goes on at the same place.
func (r *run) listed(ctx context.Context, t *target) (*page, error) {
	token := r.note.Continue
	for failed := 0; ; {
		if err := r.gate.pass(ctx, r.Now()); err != nil {
			return nil, err
		}
		p, err := r.api.list(ctx, t, r.Page, token)
		var old *expired
		switch {
		case err == nil:
			return p, nil
		case errors.As(err, &old):
			if old.token == "" || old.token == token {
				return nil, errs.Newf(errs.Unavailable, "listing %s: the API server forgot where the list was: run it again, with -anew", t.name)
			}
			token = old.token
			continue
		case !passing(err) || failed == tries:
			return nil, explain(err, "listing "+t.name)
		}
		failed++
		r.refused(err, failed)
	}
}

// refused keeps everything back for as long as the API server asks.
func (r *run) refused(err error, failed int) {
	wait := backoff(failed)
	if seconds, asked := apierrors.SuggestsClientDelay(err); asked && seconds > 0 {
		wait = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	r.gate.hold(r.Now().Add(wait))
}

// outcomes are those of a page, from many goroutines.
type outcomes struct {
	mu      sync.Mutex
	counts  Counts // guarded by mu
	refused int    // answers that say that it is too much; guarded by mu
}

// page rewrites all objects of one, one after the other begun as the pace allows.
// Where the API server says that it is too much, half as many are under way at once on
// the next page, and one more on each that goes well.
func (r *run) page(ctx context.Context, t *target, items []item) (Counts, error) {
	var o outcomes
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(r.width)
	var ended error
	for i := range items {
		if ended = r.pacer.begin(inner); ended != nil {
			break
		}
		group.Go(func() error { return r.object(inner, t, &items[i].Metadata, &o) })
	}
	err := cmp.Or(group.Wait(), ended)
	if o.refused > 0 {
		r.width = max(1, r.width/2)
	} else {
		r.width = min(r.width+1, r.Width)
	}
	return o.counts, err
}

// object rewrites one.
func (r *run) object(ctx context.Context, t *target, o *identity, to *outcomes) error {
	r.step("before an object")
	for failed := 0; ; {
		if err := r.gate.pass(ctx, r.Now()); err != nil {
			return err
		}
		version, err := r.api.touch(ctx, t, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if apierrors.IsConflict(err) {
			err = r.conflicted(ctx, t, o)
		}
		switch {
		case err == nil || apierrors.IsNotFound(err) || errors.Is(err, errChanged):
			to.done(o, version, err)
			return nil
		case !passing(err) && !apierrors.IsInternalError(err) && !apierrors.IsConflict(err), failed == tries:
			return to.givenUp(t, o, err)
		}
		failed++
		to.hindered()
		r.pacer.hindered()
		r.refused(err, failed)
	}
}

// errChanged is the outcome of an object that others have written.
var errChanged = errs.New(errs.Conflict, "others have written it")

// conflicted says what a conflict was: errChanged if the object was written, and is
// hence under what the API servers encrypt with now.
func (r *run) conflicted(ctx context.Context, t *target, o *identity) error {
	now, err := r.api.identity(ctx, t, o)
	switch {
	case err != nil:
		return err
	case now.UID != o.UID || now.ResourceVersion != o.ResourceVersion:
		return errChanged
	}
	return apierrors.NewConflict(t.GroupResource(), o.Name, nil)
}

func (o *outcomes) done(was *identity, version string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Done++
	switch {
	case apierrors.IsNotFound(err):
		o.counts.Gone++
	case err != nil:
		o.counts.ByOthers++
	case version == was.ResourceVersion:
		o.counts.Current++
	default:
		o.counts.Written++
	}
}

// givenUp counts an object that the API server refuses to have rewritten. What ends the
// run, since it says nothing of this object alone, is returned.
func (o *outcomes) givenUp(t *target, was *identity, err error) error {
	switch {
	case apierrors.IsUnauthorized(err):
		return explain(err, "rewriting "+t.name)
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		return explain(err, "rewriting "+t.name+" "+was.String())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Done++
	o.counts.Refused++
	o.counts.Refusals = append(o.counts.Refusals, Refusal{Resource: t.name, Name: was.String(), Why: string(apierrors.ReasonForError(err))})
	return nil
}

func (o *outcomes) hindered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused++
}
