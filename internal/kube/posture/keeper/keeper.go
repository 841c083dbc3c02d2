package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

const (
	// settle is the least time between two looks, whatever restarts in between; retry
	// the time after a look that failed; longest how long one may take.
	settle  = 10 * time.Minute
	retry   = 5 * time.Minute
	longest = 30 * time.Minute
	// perSecond and burst are how many requests of one client a look sends: what is
	// kept in step with stores goes first.
	perSecond = 20
	burst     = 40
)

// Config says what a Keeper keeps. Zero values have the defaults named.
type Config struct {
	// REST reaches the API server.
	REST   *rest.Config
	Checks []check.Check
	// Key of fingerprints; nil: of Secrets and ConfigMaps no content is looked at, and of
	// Secrets none is asked for.
	Key *fingerprint.Key
	// Namespace holds the history.
	Namespace string
	// Every is how often the cluster is looked at; an hour.
	Every time.Duration
	// Exceptions is a file as check -exceptions takes it, read at each look; "": none.
	Exceptions string
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    *Metrics
}

// Keeper keeps the answers current.
type Keeper struct {
	Config
	history history.Store
	objects dynamic.Interface
	// unserved says that it was told that there are no report objects.
	unserved bool
}

// New makes a Keeper. It reaches nothing yet.
func New(c Config) (*Keeper, error) {
	if c.Every == 0 {
		c.Every = time.Hour
	}
	c.REST = rest.CopyConfig(c.REST)
	c.REST.QPS, c.REST.Burst, c.REST.RateLimiter = perSecond, burst, nil
	core, err1 := typed.NewForConfig(c.REST)
	objects, err2 := dynamic.NewForConfig(c.REST)
	if err := errors.Join(err1, err2); err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", c.REST.Host, err)
	}
	return &Keeper{Config: c, history: history.Store{Maps: core.ConfigMaps(c.Namespace)}, objects: objects}, nil
}

// Start looks until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	for wait := k.resume(ctx); k.sleep(ctx, wait); {
		wait = k.Every
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			k.Log.Error("keeping the checks current", "error", err, "kind", errs.KindOf(err).Reason())
			wait = min(k.Every, retry)
		}
	}
	return nil
}

// sleep reports whether ctx has not ended before d is over.
func (k *Keeper) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := k.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// NeedLeaderElection has one of several operators look.
func (*Keeper) NeedLeaderElection() bool { return true }

// resume shows what the history has, until there is more, and returns when to look
// first: at once, unless somebody just did.
func (k *Keeper) resume(ctx context.Context) time.Duration {
	book, _, err := k.history.Load(ctx)
	if err != nil {
		return 0 // the first round fails, or says it
	}
	k.Metrics.see(book)
	return max(0, min(book.Taken.Add(min(k.Every, settle)).Sub(k.Clock.Now()), settle))
}

// round looks once. What fails does not keep the rest from being done: answers are shown
// without a history, and the history is kept without reports.
func (k *Keeper) round(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = k.failed(partChecks, errs.Panicked(p))
		}
	}()
	began := k.Clock.Now()
	exceptions, err := k.exceptions()
	wrong := []error{k.failed(partExceptions, err)}
	book, version, err := k.history.Load(ctx)
	remembers := err == nil
	if !remembers {
		wrong = append(wrong, k.failed(partHistory, err))
		book = &history.Book{}
	}
	seen, err := read.Live(ctx, k.REST, read.Options{Now: began, Whole: true, Key: k.Key})
	if err != nil {
		return errors.Join(append(wrong, k.failed(partSnapshot, err))...)
	}
	report := check.Run(k.Checks, check.NewInput(seen, began, check.Settings{}), book.Before(), exceptions)
	book.Doubt(report)
	next := book.Add(report, k.unseen(seen), k.Clock.Since(began).Seconds())
	if remembers {
		wrong = append(wrong, k.failed(partHistory, k.history.Save(ctx, next, version)))
	}
	k.Metrics.see(next)
	k.tell(next)
	return errors.Join(append(wrong, k.failed(partReports, k.publish(ctx, report, seen, next)))...)
}

// failed counts err, if it is one.
func (k *Keeper) failed(part string, err error) error {
	if err != nil {
		k.Metrics.failures.WithLabelValues(part).Inc()
	}
	return err
}

// exceptions are those of the file. Without it all findings count: who accepted them
// cannot be told.
func (k *Keeper) exceptions() ([]check.Exception, error) {
	if k.Exceptions == "" {
		return nil, nil
	}
	f, err := os.Open(k.Exceptions)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading exceptions: %w; until then all findings count", err)
	}
	defer func() { _ = f.Close() }()
	return check.ReadExceptions(k.Exceptions, f)
}

// tell says in the log what is new and what went, by numbers.
func (k *Keeper) tell(b *history.Book) {
	found, fresh, went := 0, 0, 0
	for i := range b.Entries {
		switch e := &b.Entries[i]; {
		case e.Here() && !e.Excepted:
			found++
			if e.New {
				fresh++
			}
		case e.Gone.Equal(b.Taken):
			went++
		}
	}
	k.Log.Info("asked the checks", "findings", found, "new", fresh, "gone", went, "seconds", b.Seconds)
	for _, e := range b.Ended {
		k.Log.Warn("an exception has ended: its findings count again", "owner", e.Owner, "check", e.Check, "fingerprint", e.Fingerprint)
	}
}

// publish writes the reports, into the newest API that the cluster has, and takes those
// that an older one has away.
func (k *Keeper) publish(ctx context.Context, report *check.Report, seen *snapshot.Snapshot, book *history.Book) error {
	options := policyreport.Options{Since: book.Since, Tried: func(id string) bool { return k.tried(id, seen) }}
	written := false
	var wrong []error
	for _, f := range policyreport.Families() {
		if !f.Served(seen.Served) {
			continue
		}
		w := writer{objects: k.objects, family: f}
		if !written {
			made, err := policyreport.Make(f, report, options)
			if err != nil {
				return err
			}
			w.want, written = made, true
			k.Metrics.reported(len(made))
		}
		wrong = append(wrong, w.write(ctx))
	}
	if !written {
		k.Metrics.reported(0)
		if !k.unserved {
			k.Log.Warn("no reports are written: the cluster has no Reports (openreports.io) and no PolicyReports (wgpolicyk8s.io); metrics and history are kept; deploy/reports has definitions")
		}
	}
	k.unserved = !written
	return errors.Join(wrong...)
}

// unseen is what checks could not see of what they need: those that weigh that themselves,
// of everything.
func (k *Keeper) unseen(seen *snapshot.Snapshot) history.Sight {
	var all []string
	for resource, gap := range seen.Coverage {
		if gap.Reason != "" {
			all = append(all, seen.Coverage.Missing(resource)...)
		}
	}
	slices.Sort(all)
	missing := map[string][]string{}
	for _, c := range k.Checks {
		out := seen.Coverage.Missing(c.Needs...)
		if len(c.Needs) == 0 {
			out = slices.Clone(all)
		}
		if seen.Key == "" {
			out = append(out, "contents were not read")
		}
		missing[c.ID] = out
	}
	return func(id string) []string { return missing[id] }
}

// tried reports whether something that a check needs was asked for, and could not be read.
func (k *Keeper) tried(id string, seen *snapshot.Snapshot) bool {
	i := slices.IndexFunc(k.Checks, func(c check.Check) bool { return c.ID == id })
	return i >= 0 && slices.ContainsFunc(k.Checks[i].Needs, func(need string) bool { return seen.Coverage[need].Reason != "" })
}
