package turn

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/backup"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Config says which key, and where.
type Config struct {
	// Plugin is made of the nodes' configuration; it is not run.
	Plugin *kms.Plugin
	Store  keystore.Versioned
	Known  string // the configuration's known_key_id

	REST        *rest.Config
	Servers     []string // URLs of all API servers; none: that of REST
	TheseAreAll bool     // as configure.Config has it
	// Stored is the running etcd; nil: what needs it is not done.
	Stored     stored.Source
	EtcdPrefix string
	// Resources are RESOURCE or RESOURCE.GROUP: what is to be under the newest version.
	Resources []string
	Backups   string   // directory of snapshots; "": not looked at
	Forget    []string // as backup.Config has it

	New      bool // make the next version first; refused while a turn is under way
	LookOnly bool // say where it stands, and do nothing
	By       rewrite.By
	Pace     rewrite.Pace
	Width    int
	Wait     time.Duration          // how long API servers get; default 15 minutes
	Say      func(string, ...any)   // progress, a line each
	Progress func(rewrite.Progress) // of rewriting

	step    func(what string)                 // for tests: called before what can be the last of a process
	every   func() (<-chan time.Time, func()) // for tests: when to ask again
	rewrite func(context.Context, rewrite.Config) (*rewrite.Report, error)
}

func (c *Config) complete() error {
	if len(c.Resources) == 0 || slices.ContainsFunc(c.Resources, func(r string) bool { return r == "" || strings.Contains(r, "*") }) {
		return errs.New(errs.Invalid, "name each resource as RESOURCE or RESOURCE.GROUP, such as secrets: there are no wildcards")
	}
	if !c.LookOnly && c.Stored == nil {
		return errs.New(errs.Invalid, "a key is turned when etcd shows it: say where it is, with -etcd=https://127.0.0.1:2379, -etcd-ca, -etcd-cert and -etcd-key; or look only, with -dry-run")
	}
	if c.Backups != "" {
		if info, err := os.Stat(c.Backups); err != nil || !info.IsDir() {
			return errs.Newf(errs.NotExist, "there is no directory %s of backups", c.Backups)
		}
	}
	c.defaults()
	return nil
}

func (c *Config) defaults() {
	if c.Wait <= 0 {
		c.Wait = 15 * time.Minute
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	if c.step == nil {
		c.step = func(string) {}
	}
	if c.every == nil {
		c.every = func() (<-chan time.Time, func()) {
			t := time.NewTicker(5 * time.Second) // metrics are large
			return t.C, t.Stop
		}
	}
	if c.rewrite == nil {
		c.rewrite = rewrite.Run
	}
}

// run is one.
type run struct {
	Config
	state State
	guide keystore.Guide // nil: the key store is none
}

// Run goes on with a turn from where it stands, until etcd shows that nothing needs an
// older version. It may be killed at any moment, and run again. The state is nil only if
// nothing could be observed. Kinds: Invalid (the configuration), Conflict (a step must not
// be done yet, or waiting does not help), Denied, NotExist, Unsupported (versions of this
// store are made elsewhere), Unavailable (it takes too long: run again).
func Run(ctx context.Context, cfg Config) (*State, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	r := &run{Config: cfg}
	r.guide, _ = cfg.Store.(keystore.Guide)
	if err := r.observe(ctx); err != nil {
		return r.seen(), err
	}
	err := r.all(ctx)
	r.state.finish(r.guide)
	return r.seen(), err
}

// seen is the state, nil if nothing was observed.
func (r *run) seen() *State {
	if len(r.state.Versions) == 0 {
		return nil
	}
	return &r.state
}

func (r *run) all(ctx context.Context) error {
	if r.LookOnly {
		return r.look(ctx)
	}
	if r.New {
		if err := r.make(ctx); err != nil {
			return err
		}
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.prove(ctx); err != nil {
		return err
	}
	return r.backups(ctx)
}

// look finds out what there is, and changes nothing.
func (r *run) look(ctx context.Context) error {
	if r.Stored != nil {
		if err := r.read(ctx); err != nil {
			return err
		}
		e := r.state.Evidence
		r.state.Proven = e.firm && r.bad() == nil && e.Left == 0 && e.current > 0
	}
	return r.backups(ctx)
}

func (r *run) backups(ctx context.Context) (err error) {
	if r.Backups == "" {
		return nil
	}
	r.state.Backups, err = backup.Look(ctx, backup.Config{Dir: r.Backups, Prefix: r.EtcdPrefix, Forget: r.Forget, Say: func(name string, n, of int) {
		r.Say("Reading backup %s, %d of %d.", name, n, of)
	}})
	if err == nil && r.state.Backups.There() == 0 {
		r.Say("There is no snapshot of etcd in %s that could be read.", r.Backups)
	}
	return err
}

func (r *run) cluster() configure.Config {
	return configure.Config{REST: r.REST, Servers: r.Servers, TheseAreAll: r.TheseAreAll, Stored: r.Stored, EtcdPrefix: r.EtcdPrefix, Say: r.Say}
}

// observe reads where things stand. Once a version is the target it stays: another one is
// a Conflict.
func (r *run) observe(ctx context.Context) error {
	h, err := r.Store.History(ctx)
	if err != nil {
		return fmt.Errorf("asking the key store: %w", err)
	}
	servers, err := configure.Servers(ctx, r.cluster())
	if err != nil {
		return err
	}
	versions := r.Plugin.Versions(h)
	s, err := Judge(versions, servers)
	if before := r.state.standing; err == nil && before != nil && before.Target.KeyID != s.Target.KeyID {
		return errs.Newf(errs.Conflict, "the key was turned again meanwhile, to version %s: run this again", s.Target.ID)
	}
	r.state.Servers, r.state.Next = servers, nil
	if r.guide != nil {
		r.state.Next = r.guide.Next(h)
	}
	if err == nil {
		r.state.standing = s
	}
	r.state.tell(versions, r.Known, err)
	return err
}

// make makes the next version, if the turn to the one before is over.
func (r *run) make(ctx context.Context) error {
	turner, ok := r.Store.(keystore.Turner)
	if !ok {
		return errs.Newf(errs.Unsupported, "a version of this key is made by: %s; then run this without -new-version", strings.Join(r.state.Next, "; "))
	}
	s := r.state.standing
	if s.Phase != Settled {
		return errs.Newf(errs.Conflict, "the turn to version %s is under way (%s): finish it first: run this without -new-version", s.Target.ID, s.Waits)
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if e := r.state.Evidence; e.Left > 0 || len(e.unnamed) > 0 {
		return errs.Newf(errs.Conflict, "the turn to version %s is under way: %d values are not under it yet: finish it first: run this without -new-version", s.Target.ID, e.Left)
	}
	r.step("before the version is made")
	if err := turner.Turn(ctx); err != nil {
		return errs.Newf(errs.KindOf(err), "making the next version: %w; or make it with: %s; then run this without -new-version", err, strings.Join(r.state.Next, "; "))
	}
	r.step("when the version is made")
	r.state.standing, r.state.Evidence = nil, nil
	if err := r.observe(ctx); err != nil {
		return err
	}
	if r.state.standing.Target.KeyID == s.Target.KeyID {
		return errs.New(errs.Conflict, "the key store has made a version, and does not tell of one that encrypts: run this again, without -new-version")
	}
	r.Say("Made version %s.", r.state.standing.Target.ID)
	return nil
}

// settle waits until all API servers write under the version, and none under another.
func (r *run) settle(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	tick, stop := r.every()
	defer stop()
	said, asking := "", error(nil) // why the last question got no answer
	for {
		s := r.state.standing
		if asking == nil {
			if s.Phase == Settled {
				return nil
			}
			said = r.waiting(said)
		}
		r.step("while waiting")
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for API servers: %w: run this again: it goes on where it stands", ctx.Err())
		case <-limited.Done():
			return r.late(asking)
		case <-tick:
		}
		asking = r.observe(limited)
		if asking != nil && limited.Err() == nil && errs.KindOf(asking) != errs.Unavailable {
			return asking
		}
	}
}

// waiting says what is waited for, unless that was said.
func (r *run) waiting(said string) string {
	if why := r.state.standing.Waits; why != said {
		r.Say("Waiting: %s.", why)
	}
	return r.state.standing.Waits
}

// late is the error when the time is up.
func (r *run) late(asking error) error {
	if asking != nil {
		return errs.Newf(errs.Unavailable, "waiting for API servers: %w", asking)
	}
	return errs.Newf(errs.Unavailable, "it takes longer than %s: %s: run this again: it goes on where it stands", r.Wait, r.state.standing.Waits)
}

// prove has everything rewritten that is not under the version, and is done when etcd
// shows that nothing is left.
func (r *run) prove(ctx context.Context) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	for anew := false; r.state.Evidence.Left > 0; anew = true {
		r.Say("%d values are not under version %s: rewriting %s.", r.state.Evidence.Left, r.state.standing.Target.ID, strings.Join(r.Resources, ", "))
		r.step("before rewriting")
		report, err := r.rewrite(ctx, rewrite.Config{REST: r.REST, Resources: r.Resources, Servers: r.urls(), By: r.By, Pace: r.Pace, Width: r.Width, Progress: r.Progress, Anew: anew})
		if err != nil {
			return err
		}
		r.state.Rewritten = report
		r.step("when all is rewritten")
		if err := r.check(ctx); err != nil {
			return err
		}
		// One that went on from another may have skipped what was written too early.
		if left := r.state.Evidence.Left; left > 0 && !report.Resumed {
			return errs.Newf(errs.Conflict, "all is rewritten, and %d values are not under version %s (%s; the API server refused to write %d objects): does every API server write these resources with the plugin first? See strongkeep encryption plan; strongkeep encryption verify -key-id=%s names the values", left, r.state.standing.Target.ID, text(r.left()), report.Refused, r.state.standing.Target.KeyID)
		}
	}
	if r.state.Evidence.current == 0 {
		return errs.Newf(errs.Conflict, "etcd has no value under this key, which proves nothing: is this the right -etcd-prefix, and do the API servers write %s with the plugin?", strings.Join(r.Resources, ", "))
	}
	r.state.Proven = true
	return nil
}

func (r *run) urls() []string {
	var all []string
	for i := range r.state.Servers {
		all = append(all, r.state.Servers[i].URL)
	}
	return all
}

// check reads etcd while all API servers write under the version only, from before it is
// read until behind it, and refuses what no rewriting mends.
func (r *run) check(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if !r.state.Evidence.firm {
		return errs.New(errs.Conflict, "an API server could write under another version when etcd began to be read: run this again")
	}
	return r.bad()
}

// read reads everything in etcd, and asks the API servers before and behind it.
func (r *run) read(ctx context.Context) error {
	if err := r.observe(ctx); err != nil {
		return err
	}
	before, servers := *r.state.standing, r.state.Servers
	r.step("before etcd is read")
	if err := configure.SameEtcd(ctx, r.cluster()); err != nil {
		return err
	}
	all := &stored.Wide{Source: r.Stored}
	report, err := stored.Verify(ctx, all, stored.Config{Prefix: r.EtcdPrefix, Resources: []string{"*.*"}, Most: 1})
	if err != nil {
		return err
	}
	if err := r.observe(ctx); err != nil {
		return err
	}
	after := r.state.standing
	if before.Phase == Settled && (after.Phase != Settled || !slices.Equal(after.Providers, before.Providers) || after.moved(servers, r.state.Servers)) {
		return errs.New(errs.Conflict, "what API servers encrypt with changed while etcd was read: run this again")
	}
	h, err := r.Store.History(ctx)
	if err != nil {
		return fmt.Errorf("asking the key store: %w", err)
	}
	r.state.Evidence = weigh(report, all.Elsewhere, r.Plugin.Versions(h), after, r.Resources)
	r.state.Evidence.firm = before.Phase == Settled // and behind it: see above
	return nil
}

// bad refuses what etcd has and no rewriting mends.
func (r *run) bad() error {
	e := r.state.Evidence
	if len(e.strange) > 0 {
		return errs.Newf(errs.Conflict, "etcd has values that no version of the key opens: %s: bring their version back into the key store first; strongkeep encryption rescue names them, and says what else can be done", text(e.strange))
	}
	if len(e.unnamed) > 0 {
		return errs.Newf(errs.Conflict, "etcd has values of other resources under older versions: %s: name these with -resource too, each with its group (kubectl api-resources)", text(e.unnamed))
	}
	if len(e.outside) > 0 {
		return errs.Newf(errs.Conflict, "etcd has values under older versions that are not below -etcd-prefix: %s: they are those of other API servers, which have to write them again first", text(e.outside))
	}
	return nil
}

// left are the holdings that are not under the version.
func (r *run) left() []Holding {
	return slices.DeleteFunc(slices.Clone(r.state.Evidence.Holdings), func(h Holding) bool { return h.KeyID == r.state.standing.Target.KeyID })
}
