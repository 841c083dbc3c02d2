package rewrite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// Config says what to rewrite.
type Config struct {
	REST      *rest.Config
	Resources []string // RESOURCE or RESOURCE.GROUP, each once
	// Namespace of the note; "" is kube-system.
	Namespace string
	// Servers are the URLs of all API servers, which are asked what they encrypt with;
	// none: the one that answers at REST. That they are all is for the caller to know.
	Servers []string
	// By "" is Auto.
	By By
	// Pace "" is Gentle. It is of what we do ourselves.
	Pace Pace
	// Width bounds the requests at once; 0 is 16.
	Width int
	// Page is how many objects are listed at once; 0 is 250.
	Page int
	// Anew begins at the beginning, whatever an earlier run has done.
	Anew bool
	// Progress is told after each page, by the goroutine of Run; nil is nobody.
	Progress func(Progress)
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// migrationPatience and migrationLongest: for tests.
	migrationPatience, migrationLongest time.Duration
	// step is called before each thing that can be the last one of a process that is
	// killed. Tests kill it there.
	step func(what string)
}

// Progress is where a run stands.
type Progress struct {
	Resource string
	Done     int // objects of all resources so far
	Total    int // of all resources that were begun; 0 if the API server does not tell
	Rate     float64
	// Left is the time for the rest of the resources that were begun; 0 if not known.
	Left  time.Duration
	Width int // requests at once
	// Migrating is for how long a StorageVersionMigration was followed; 0 where it is us
	// who write. Then nothing else is known.
	Migrating time.Duration
}

// Report is what a run, with those that it went on from, has done.
type Report struct {
	Resources []string  `json:"resources"`
	Started   time.Time `json:"started"`
	Resumed   bool      `json:"resumed"` // it went on from one that had ended early
	Counts
	// Configuration identifies what the API server encrypted with, all the time; ""
	// if its metrics do not tell, and whether it stayed the same is not known.
	Configuration string `json:"configuration"`
	// Servers are those that were asked for it, and have the same; without any it was one
	// of those at the kubeconfig's address.
	Servers []string `json:"servers,omitempty"`
	// Notes say why resources were not left to a StorageVersionMigration that might have
	// been.
	Notes []string `json:"notes,omitempty"`
}

// Counts are of objects.
type Counts struct {
	Done     int       `json:"done"`
	Written  int       `json:"written"`   // by us
	Migrated int       `json:"migrated"`  // that there were after a StorageVersionMigration
	Current  int       `json:"current"`   // that were as they should be
	ByOthers int       `json:"by_others"` // written by others meanwhile, hence as they should be
	Gone     int       `json:"gone"`      // deleted meanwhile
	Refused  int       `json:"refused"`   // that the API server would not write
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Refusal is an object that could not be rewritten. Only the first ones are named.
type Refusal struct {
	Resource string `json:"resource"`
	Name     string `json:"name"` // NAMESPACE/NAME, or NAME
	Why      string `json:"why"`  // the API server's reason, one word
}

// mostRefusals are named.
const mostRefusals = 100

func (c *Config) complete() error {
	if len(c.Resources) == 0 {
		return errs.New(errs.Invalid, "no resource is named: name at least secrets")
	}
	if c.Width < 0 || c.Page < 0 || c.Width > 256 || c.Page > 5000 {
		return errs.New(errs.Invalid, "at once are at most 256 requests, and on a page 5,000 objects")
	}
	c.By, c.Pace = cmp.Or(c.By, Auto), cmp.Or(c.Pace, Gentle)
	if !slices.Contains([]By{Auto, Migration, Ourselves}, c.By) {
		return errs.Newf(errs.Invalid, "by %q: it is %s, %s or %s", c.By, Auto, Migration, Ourselves)
	}
	if !slices.Contains([]Pace{Gentle, Full}, c.Pace) {
		return errs.Newf(errs.Invalid, "pace %q: it is %s or %s", c.Pace, Gentle, Full)
	}
	c.migrationPatience = cmp.Or(c.migrationPatience, migrationPatience)
	c.migrationLongest = cmp.Or(c.migrationLongest, migrationLongest)
	c.Namespace, c.Width, c.Page = cmp.Or(c.Namespace, "kube-system"), cmp.Or(c.Width, 16), cmp.Or(c.Page, 250)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.step == nil {
		c.step = func(string) {}
	}
	return nil
}

// run is one.
type run struct {
	Config
	api   *api
	note  note
	pacer *pacer // nil: as fast as it goes
	width int    // requests at once
	gate  gate
	notes []string

	began time.Time // this process
	first int       // that we did before it
}

// Run rewrites all objects of the resources, or goes on where an earlier run with the
// same resources ended. It is to be begun when every API server writes with the new
// provider and key, and not earlier. Kinds of errors: Invalid (the configuration),
// NotExist (a resource that is not served), Denied (a right is missing; then nothing
// was written), Conflict (what API servers encrypt with changed meanwhile: run again),
// Unavailable. After an error, or none of the process, the next run goes on.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	api, err := connect(cfg.REST)
	if err != nil {
		return nil, err
	}
	r := &run{Config: cfg, api: api, width: cfg.Width}
	targets, err := api.resolve(ctx, cfg.Resources)
	if err != nil {
		return nil, err
	}
	if err := api.allowed(ctx, targets, cfg.Namespace); err != nil {
		return nil, err
	}
	resumed, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r.pacer != nil {
			r.pacer.stop()
		}
	}()
	r.began, r.first = r.Now(), r.note.Done-r.note.Migrated
	for ; r.note.At < len(targets); r.note.At++ {
		if err := r.one(ctx, &targets[r.note.At]); err != nil {
			return nil, err
		}
		r.note.Continue = ""
	}
	if err := r.end(ctx); err != nil {
		return nil, err
	}
	return &Report{Resources: cfg.Resources, Started: r.note.Started, Resumed: resumed, Counts: r.note.Counts, Configuration: r.note.Configuration, Servers: r.Servers, Notes: r.notes}, nil
}

// one leaves a resource to a migration, or rewrites it.
func (r *run) one(ctx context.Context, t *target) error {
	done, why, err := r.migrate(ctx, t)
	switch {
	case err != nil:
		return err
	case done:
		return r.nextResource(ctx)
	case why != "":
		r.notes = append(r.notes, t.name+": "+why)
	}
	if r.pacer == nil && r.Pace == Gentle {
		if r.pacer, err = startPacer(ctx, func(ctx context.Context) error { return r.api.probe(ctx, r.Namespace) }); err != nil {
			return err
		}
	}
	return r.resource(ctx, t)
}

// begin reads the note, or writes a new one.
func (r *run) begin(ctx context.Context) (resumed bool, err error) {
	now, err := r.agreed(ctx)
	if err != nil {
		return false, err
	}
	old, err := r.api.readNote(ctx, r.Namespace)
	if err != nil {
		return false, err
	}
	// What was encrypted with is not known without a hash of the configuration: then nothing
	// says that what was rewritten before is as it should be now.
	if old != nil && !r.Anew && meter.Whole(now) && old.Configuration == now && slices.Equal(old.Resources, r.Resources) {
		r.note = *old
		return true, nil
	}
	r.note = note{Resources: r.Resources, Started: r.Now().UTC(), Configuration: now}
	r.step("before the note")
	return false, r.api.writeNote(ctx, r.Namespace, &r.note)
}

// end removes the note: there is nothing to go on with.
func (r *run) end(ctx context.Context) error {
	now, differ := r.agreed(ctx)
	if differ != nil && errs.KindOf(differ) != errs.Conflict {
		return differ
	}
	r.step("before the end")
	if err := r.api.deleteNote(ctx, r.Namespace); err != nil {
		return err
	}
	if differ != nil { // and what was done is not to be gone on from
		return differ
	}
	if now != r.note.Configuration {
		return errs.New(errs.Conflict, "what the API servers encrypt with changed while objects were rewritten, or they differ in it: wait until all have the same, and run it again")
	}
	return nil
}

// resource rewrites page by page, from where the note stands.
func (r *run) resource(ctx context.Context, t *target) error {
	for {
		r.step("before a page is listed")
		page, err := r.listed(ctx, t)
		if err != nil {
			return err
		}
		if r.note.Continue == "" {
			r.note.Total += len(page.Items) + int(page.Metadata.Remaining)
		}
		counts, err := r.page(ctx, t, page.Items)
		if err != nil {
			return err
		}
		r.note.Counts.add(counts)
		r.note.Continue = page.Metadata.Continue
		r.step("before a page is noted")
		if page.Metadata.Continue != "" {
			if err := r.api.writeNote(ctx, r.Namespace, &r.note); err != nil {
				return err
			}
		}
		r.tell(t)
		if page.Metadata.Continue == "" {
			return r.nextResource(ctx)
		}
	}
}

// nextResource notes that one is done.
func (r *run) nextResource(ctx context.Context) error {
	next := r.note
	next.At, next.Continue = next.At+1, ""
	return r.api.writeNote(ctx, r.Namespace, &next)
}

func (c *Counts) add(d Counts) {
	c.Done += d.Done
	c.Written += d.Written
	c.Migrated += d.Migrated
	c.Current += d.Current
	c.ByOthers += d.ByOthers
	c.Gone += d.Gone
	c.Refused += d.Refused
	c.Refusals = append(c.Refusals, d.Refusals[:min(len(d.Refusals), mostRefusals-len(c.Refusals))]...)
}

func (r *run) tell(t *target) {
	p := Progress{Resource: t.name, Done: r.note.Done, Total: max(r.note.Total, r.note.Done), Width: r.width}
	if took := r.Now().Sub(r.began).Seconds(); took > 0 {
		p.Rate = float64(r.note.Done-r.note.Migrated-r.first) / took
	}
	if p.Rate > 0 {
		p.Left = time.Duration(float64(p.Total-p.Done) / p.Rate * float64(time.Second))
	}
	r.Progress(p)
}
