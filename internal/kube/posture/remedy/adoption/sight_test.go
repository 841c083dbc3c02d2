package adoption

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// writes puts something else into Secret team/db.
func (f *fixture) writes(value string) {
	f.Helper()
	s := &corev1.Secret{}
	if err := f.Client.Get(f.Context(), client.ObjectKey{Namespace: "team", Name: "db"}, s); err != nil {
		f.Fatal(err)
	}
	s.Data["password"] = []byte(value)
	if err := f.Client.Update(f.Context(), s); err != nil {
		f.Fatal(err)
	}
}

// What somebody writes between the proof and the operator's first write is undone by that
// one, and the Secret is as it was: it is told, and no success.
func TestUndone(t *testing.T) {
	const theirs = canary + "-theirs"
	for name, c := range map[string]struct {
		// before and after are done when an ExternalSecret is created, early and late when it is
		// looked for an operator.
		before, after, early, late func(*fixture)
		want                       string
	}{
		"nobody wrote":        {late: (*fixture).ready},
		"the operator's own":  {after: func(f *fixture) { f.writes(canary) }, late: (*fixture).ready},
		"undone at once":      {before: func(f *fixture) { f.writes(theirs) }, after: func(f *fixture) { f.writes(canary); f.ready() }, want: "held something else meanwhile"},
		"undone later":        {before: func(f *fixture) { f.writes(theirs) }, early: func(f *fixture) { f.writes(canary) }, want: "holds something else now"},
		"while it is waited":  {early: func(f *fixture) { f.writes(theirs); f.writes(canary) }, late: (*fixture).ready, want: "held something else meanwhile"},
		"when it was ready":   {late: func(f *fixture) { f.ready(); f.writes(theirs); f.writes(canary) }, want: "held something else meanwhile"},
		"deleted, made again": {before: func(f *fixture) { f.again() }, after: (*fixture).ready, want: "Secret team/db was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			f := world(t, "secret", db("db", map[string]string{"password": canary}))
			p, err := f.plan(Options{})
			if err != nil {
				t.Fatal(err)
			}
			f.Wait = time.Hour
			plainly, asked := *f.Adopter, 0
			do := func(g func(*fixture)) {
				if g != nil {
					g(&fixture{t, &plainly, f.vault})
				}
			}
			f.Client = interceptor.NewClient(plainly.Client, interceptor.Funcs{Create: func(ctx context.Context, cl client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				do(c.before)
				err := cl.Create(ctx, o, opts...)
				do(c.after)
				return err
			}})
			f.Now = func() time.Time {
				switch asked++; asked {
				case 2:
					do(c.early)
				case 3:
					do(c.late)
				}
				return time.Unix(1e9, 0)
			}
			err = f.Apply(t.Context(), p)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "secret/team/db of the vault") || strings.Contains(err.Error(), canary)):
				t.Errorf("not told: %v", err)
			}
		})
	}
}

// again deletes Secret team/db, and makes it anew with the same data.
func (f *fixture) again() {
	f.Helper()
	if err := f.Client.Delete(f.Context(), db("db", nil)); err != nil {
		f.Fatal(err)
	}
	if err := f.Client.Create(f.Context(), db("db", map[string]string{"password": canary})); err != nil {
		f.Fatal(err)
	}
}

// Who may not watch a Secret cannot see what becomes of it: then nothing is written.
func TestUnwatched(t *testing.T) {
	f := world(t, "secret", db("db", map[string]string{"password": canary}))
	p, err := f.plan(Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.Client = interceptor.NewClient(f.Client, interceptor.Funcs{Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
		return nil, apierrors.NewForbidden(corev1.Resource("secrets"), "db", nil)
	}})
	if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "nothing was done") || len(f.vault.at) > 0 || f.externals() > 0 {
		t.Error(err)
	}
}

// broken is a watch that an API server ends, or that tells no more.
type broken struct{ states chan watch.Event }

func (b broken) Stop()                          {}
func (b broken) ResultChan() <-chan watch.Event { return b.states }

// A watch that ends is gone on with from the state that was seen last; one that cannot be
// is no success.
func TestWatchEnds(t *testing.T) {
	for _, lost := range []bool{false, true} {
		f := world(t, "secret", db("db", map[string]string{"password": canary}))
		p, err := f.plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		f.Wait = time.Hour
		plainly := *f.Adopter
		var from []string
		f.Client = interceptor.NewClient(plainly.Client, interceptor.Funcs{Watch: func(ctx context.Context, cl client.WithWatch, l client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			var o client.ListOptions
			o.ApplyOptions(opts)
			from = append(from, o.Raw.ResourceVersion)
			switch one := (broken{make(chan watch.Event, 1)}); {
			case len(from) > 1:
				return cl.Watch(ctx, l, opts...)
			case lost:
				one.states <- watch.Event{Type: watch.Error, Object: &apierrors.NewResourceExpired("too old").ErrStatus}
				return one, nil
			default:
				s := db("db", map[string]string{"password": canary})
				s.ResourceVersion = "1000"
				one.states <- watch.Event{Type: watch.Modified, Object: s}
				close(one.states)
				return one, nil
			}
		}})
		asked := 0
		f.Now = func() time.Time {
			switch asked++; asked {
			case 2:
				(&fixture{t, &plainly, f.vault}).writes(canary)
			case 3:
				(&fixture{t, &plainly, f.vault}).ready()
			}
			return time.Unix(1e9, 0)
		}
		err = f.Apply(t.Context(), p)
		switch {
		case lost && (!errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "is not known")):
			t.Errorf("it is too old: %v", err)
		case !lost && (err != nil || len(from) != 2 || from[1] != "1000"):
			t.Errorf("%v: watched from %q", err, from)
		}
	}
}

// A watch that tells nothing of a write is no success, and ends.
func TestWatchSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := world(t, "secret", db("db", map[string]string{"password": canary}))
		p, err := f.plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		plainly := *f.Adopter
		f.Client = interceptor.NewClient(plainly.Client, interceptor.Funcs{Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
			return broken{make(chan watch.Event)}, nil
		}})
		f.vault.before = func() { (&fixture{t, &plainly, f.vault}).writes(canary) }
		if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "was not told in 30s") || f.externals() > 0 {
			t.Error(err)
		}
	})
}

// After a timeout it is said what the Secrets hold, and not what they should.
func TestTold(t *testing.T) {
	f := world(t, "secret", db("db", map[string]string{"password": canary}))
	p, err := f.plan(Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	f.Now = func() time.Time {
		if asked++; asked == 2 { // it is too late, and meanwhile
			if err := f.Client.Update(t.Context(), db("db", map[string]string{"password": canary + "-new"})); err != nil {
				t.Error(err)
			}
		}
		return time.Unix(1e9, 0)
	}
	if err := f.Apply(t.Context(), p); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), "as they were") || !strings.Contains(err.Error(), "Secret team/db holds something else now") {
		t.Error(err)
	}
}
