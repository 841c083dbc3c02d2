package tidy

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// batch is how many certificates one transaction looks at: of each up to four
// entries, well below store.MaxChanges.
const batch = 80

// Tidier tidies one mount.
type Tidier struct{ cfg engine.Config }

// New returns a tidier. It has nothing to close.
func New(cfg engine.Config) *Tidier { return &Tidier{cfg} }

func (t *Tidier) wake(context.Context) error {
	t.cfg.Wake()
	return nil
}

// start has a run begin soon.
func (t *Tidier) start(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w := defaults().What
	d := req.Decode()
	if err := w.read(&d); err != nil {
		return nil, err
	}
	if !w.Certs && !w.Revoked && !w.Issuers {
		return nil, errs.New(errs.Invalid, "No tidy operations were requested: set tidy_cert_store, tidy_revoked_certs or tidy_expired_issuers")
	}
	old, err := loadRun(ctx, tx)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return &engine.Response{Warnings: []string{"Tidy operation already in progress."}}, nil
	}
	if err := t.begin(ctx, tx, Run{What: w, Started: req.Time.Unix()}); err != nil {
		return nil, err
	}
	return &engine.Response{
		Status: 202, After: t.wake,
		Warnings: []string{"Tidy operation successfully started. Read tidy-status for how it goes."},
	}, nil
}

func (t *Tidier) begin(ctx context.Context, tx engine.Tx, r Run) error {
	s, err := loadStatus(ctx, tx)
	if err != nil {
		return err
	}
	if err := put(tx, statusKey, &Status{What: r.What, State: "Running", Started: r.Started, LastAuto: s.LastAuto}); err != nil {
		return err
	}
	return put(tx, runKey, &r)
}

func (t *Tidier) cancel(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	r, err := loadRun(ctx, tx)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.New(errs.Invalid, "Tidy operation cannot be cancelled as none is currently running.")
	}
	stopped := *r
	stopped.Cancel = true
	if err := put(tx, runKey, &stopped); err != nil {
		return nil, err
	}
	old, err := loadStatus(ctx, tx)
	if err != nil {
		return nil, err
	}
	s := *old
	s.State = "Cancelling"
	res := s.show()
	res.After = t.wake
	return res, put(tx, statusKey, &s)
}

func status(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := loadStatus(ctx, tx)
	if err != nil {
		return nil, err
	}
	return s.show(), nil
}

func (s *Status) show() *engine.Response {
	o := engine.NewObject().Int("cert_store_deleted_count", s.Certs)
	if s.Error == "" {
		o = o.Null("error")
	} else {
		o = o.Str("error", s.Error)
	}
	at := func(name string, unix int64) {
		if unix == 0 {
			o = o.Null(name)
		} else {
			o = o.Time(name, time.Unix(unix, 0))
		}
	}
	o = o.Int("issuers_deleted_count", s.Issuers)
	at("last_auto_tidy_finished", s.LastAuto)
	o = o.Int("revoked_cert_deleted_count", s.Revoked)
	o = s.What.show(o).Str("state", s.State)
	at("time_finished", s.Finished)
	at("time_started", s.Started)
	return &engine.Response{Data: o.Value()}
}

// Work goes on with the run there is, begins one that is due, and returns when the
// next is.
func (t *Tidier) Work(ctx context.Context) (next time.Time, err error) {
	var run *Run
	err = t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		run, next, err = t.due(ctx, tx)
		return err
	})
	if err != nil || run == nil {
		return next, err
	}
	if err := t.tidy(ctx, run); err != nil {
		return time.Time{}, errs.Newf(errs.KindOf(err), "tidying %s: %w", t.cfg.MountPath(), err)
	}
	err = t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		run, next, err = t.due(ctx, tx)
		return err
	})
	return next, err
}

// due returns the run that goes on or begins now, or when the next begins.
func (t *Tidier) due(ctx context.Context, tx engine.Tx) (*Run, time.Time, error) {
	run, err := loadRun(ctx, tx)
	if err != nil || run != nil {
		return run, time.Time{}, err
	}
	c, err := loadConfig(ctx, tx)
	if err != nil || !c.Enabled {
		return nil, time.Time{}, err
	}
	s, err := loadStatus(ctx, tx)
	if err != nil {
		return nil, time.Time{}, err
	}
	now := t.cfg.Now().UTC()
	if at := time.Unix(s.LastAuto+c.Interval, 0).UTC(); now.Before(at) {
		return nil, at, nil
	}
	run = &Run{What: c.What, Started: now.Unix(), Auto: true}
	return run, time.Time{}, t.begin(ctx, tx, *run)
}

// tidy does a run, from its beginning: what it has removed before a crash is not
// there any more.
func (t *Tidier) tidy(ctx context.Context, r *Run) error {
	var days []string
	err := t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		days, err = tx.List(ctx, ledger.Expiry, "", 0)
		return err
	})
	if err != nil {
		return err
	}
	until := ledger.Day(t.cfg.Now().Add(-time.Duration(r.Buffer) * time.Second))
	days = slices.Clone(days)
	slices.Sort(days)
	for _, day := range days {
		if day = strings.TrimSuffix(day, "/"); day > until {
			continue
		}
		if stopped, err := t.day(ctx, r, day); err != nil || stopped {
			return err
		}
	}
	return t.finish(ctx, r)
}

// day tidies the certificates that ended on one day.
func (t *Tidier) day(ctx context.Context, r *Run, day string) (stopped bool, err error) {
	for after := ""; ; {
		var last string
		err := t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
			last, stopped = "", false
			now, err := loadRun(ctx, tx)
			if err != nil {
				return err
			}
			if now == nil || now.Cancel {
				stopped = true
				return t.end(ctx, tx, r, "Cancelled")
			}
			names, err := tx.List(ctx, ledger.Expiry+day+"/", after, batch)
			if err != nil {
				return err
			}
			if len(names) == batch {
				last = names[len(names)-1]
			}
			return t.batch(ctx, tx, r, day, names)
		})
		if err != nil || stopped || last == "" {
			return stopped, err
		}
		after = last
	}
}

// batch removes what there is of some certificates, and counts it.
func (t *Tidier) batch(ctx context.Context, tx engine.Tx, r *Run, day string, serials []string) error {
	old, err := loadStatus(ctx, tx)
	if err != nil {
		return err
	}
	s := *old
	for _, name := range serials {
		if err := t.one(ctx, tx, r, ledger.Expiry+day+"/"+name, &s); err != nil {
			return err
		}
	}
	if s == *old {
		return nil
	}
	return put(tx, statusKey, &s)
}

// one removes a certificate and its revocation, as far as the run says and both
// ended long enough ago. The index forgets it when nothing of it is left.
func (t *Tidier) one(ctx context.Context, tx engine.Tx, r *Run, index string, s *Status) error {
	serial := ledger.Serial(index[strings.LastIndexByte(index, '/')+1:])
	e, err := tx.Get(ctx, index)
	if err != nil || !e.Exists() {
		return err
	}
	auth := hex.EncodeToString(e.Value)
	record, err := ledger.Load(ctx, tx, serial)
	if err != nil {
		return err
	}
	revocation, err := ledger.LoadRevocation(ctx, tx, auth, serial)
	if err != nil {
		return err
	}
	if record != nil && record.Authority != auth {
		record = nil // of another issuer, with the same serial number
	}
	return t.sweep(tx, r, &entry{index, auth, serial, record, revocation}, s)
}

// entry is what is kept of a certificate.
type entry struct {
	index, auth string
	serial      ledger.Serial
	record      *ledger.Record     // nil = it is not kept
	revocation  *ledger.Revocation // nil = it is not revoked
}

// sweep does what one is for, with what it read.
func (t *Tidier) sweep(tx engine.Tx, r *Run, e *entry, s *Status) error {
	before := t.cfg.Now().Add(-time.Duration(r.Buffer) * time.Second)
	certLeft := e.record != nil
	if certLeft && (r.Certs || e.revocation != nil && r.Revoked) {
		ended, err := endedBefore(e.record, before)
		if err != nil {
			return err
		}
		if ended {
			tx.Delete(ledger.Certs + string(e.serial))
			s.Certs++
			certLeft = false
		}
	}
	revocationLeft := e.revocation != nil
	if revocationLeft && r.Revoked && e.revocation.Ends.Before(before) {
		tx.Delete(ledger.Revoked + e.auth + "/" + string(e.serial))
		tx.Delete(ledger.Recent + e.auth + "/" + string(e.serial))
		tx.Put(ledger.Stale+e.auth, []byte("tidy:"+string(e.serial)))
		s.Revoked++
		revocationLeft = false
	}
	if !certLeft && !revocationLeft {
		tx.Delete(e.index)
	}
	return nil
}

// endedBefore reports whether a certificate's validity ended before that time.
func endedBefore(record *ledger.Record, before time.Time) (bool, error) {
	cert, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return false, errs.Newf(errs.Internal, "decoding a certificate: %w", err)
	}
	return cert.NotAfter.Before(before), nil
}

// finish removes expired issuers, and ends the run.
func (t *Tidier) finish(ctx context.Context, r *Run) error {
	return t.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		if r.Issuers {
			if err := t.issuers(ctx, tx, r); err != nil {
				return err
			}
		}
		return t.end(ctx, tx, r, "Finished")
	})
}

// issuers removes issuers that ended long ago, but never the default one. Keys stay.
func (t *Tidier) issuers(ctx context.Context, tx engine.Tx, r *Run) error {
	c, err := authority.Begin(ctx, tx, t.cfg.Random)
	if err != nil {
		return err
	}
	all, err := authority.All(ctx, tx)
	if err != nil {
		return err
	}
	old, err := loadStatus(ctx, tx)
	if err != nil {
		return err
	}
	s := *old
	before := t.cfg.Now().Add(-time.Duration(r.IssuerBuffer) * time.Second)
	for _, i := range all {
		if !i.Certificate.NotAfter.Before(before) || c.Settings().Default == i.ID {
			continue
		}
		own, err := c.Issuer(i.ID)
		if err != nil {
			return err
		}
		c.DeleteIssuer(own)
		s.Issuers++
	}
	if s == *old {
		return nil
	}
	if err := c.Done(); err != nil {
		return err
	}
	return put(tx, statusKey, &s)
}

func (t *Tidier) end(ctx context.Context, tx engine.Tx, r *Run, state string) error {
	old, err := loadStatus(ctx, tx)
	if err != nil {
		return err
	}
	s := *old
	s.State, s.Finished = state, t.cfg.Now().Unix()
	if r.Auto {
		s.LastAuto = s.Finished
	}
	tx.Delete(runKey)
	return put(tx, statusKey, &s)
}

// Routes are those of tidying.
func (t *Tidier) Routes() []engine.Route {
	what := []engine.Field{
		wire.Bool("tidy_cert_store", "false", "Remove certificates that ended."),
		wire.Bool("tidy_revoked_certs", "false", "Remove revocations of certificates that ended, and these."),
		wire.Bool("tidy_revocation_list", "false", "The old name of tidy_revoked_certs."),
		wire.Bool("tidy_expired_issuers", "false", "Remove issuers that ended, but not the default one."),
		wire.Time("safety_buffer", "72h", "How long ago a certificate must have ended."),
		wire.Time("issuer_safety_buffer", "8760h", "How long ago an issuer must have ended."),
	}
	return []engine.Route{
		{
			Pattern: "tidy", Handlers: wire.Handlers{engine.Update: t.start},
			Summary: "Remove what has ended.", Help: "In the background; tidy-status says how it goes.", Fields: what,
		},
		{Pattern: "tidy-status", Handlers: wire.Handlers{engine.Read: status}, ReadOnly: true, Summary: "The last run of tidying.", Help: "Or the one that goes on."},
		{Pattern: "tidy-cancel", Handlers: wire.Handlers{engine.Update: t.cancel}, Summary: "Stop tidying.", Help: "What is removed stays removed."},
		{
			Pattern: "config/auto-tidy", Handlers: wire.Handlers{engine.Read: readConfig, engine.Update: t.writeConfig}, ReadOnly: true,
			Summary: "Tidying by itself.", Help: "A write changes what is given.",
			Fields: append(slices.Clone(what), wire.Bool("enabled", "false", "Tidy by itself."), wire.Time("interval_duration", "12h", "How often, from the end of one run to the next.")),
		},
	}
}
