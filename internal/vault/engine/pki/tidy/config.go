package tidy

import (
	"context"
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	configKey = "config/auto-tidy"
	runKey    = "tidy/run"
	statusKey = "tidy/status"
)

// What is what to tidy. Durations are in seconds.
type What struct {
	Certs        bool  `json:"tidy_cert_store"`
	Revoked      bool  `json:"tidy_revoked_certs"`
	Issuers      bool  `json:"tidy_expired_issuers"`
	Buffer       int64 `json:"safety_buffer"`
	IssuerBuffer int64 `json:"issuer_safety_buffer"`
}

// Config is when to tidy by itself.
type Config struct {
	What
	Enabled  bool  `json:"enabled"`
	Interval int64 `json:"interval_duration"`
}

func defaults() *Config {
	return &Config{What: What{Buffer: 72 * 3600, IssuerBuffer: 8760 * 3600}, Interval: 12 * 3600}
}

// Run is a run that goes on.
type Run struct {
	What
	Started int64 `json:"started"` // unix seconds
	Auto    bool  `json:"auto"`
	Cancel  bool  `json:"cancel"`
}

// Status is of the last run, or of that which goes on.
type Status struct {
	What
	State    string `json:"state"` // Inactive, Running, Finished, Cancelling, Cancelled, Error
	Error    string `json:"error"`
	Started  int64  `json:"time_started"`
	Finished int64  `json:"time_finished"`
	LastAuto int64  `json:"last_auto_tidy_finished"`
	Certs    int64  `json:"cert_store_deleted_count"`
	Revoked  int64  `json:"revoked_cert_deleted_count"`
	Issuers  int64  `json:"issuers_deleted_count"`
}

func decode[T any](initial func() *T) func([]byte) (*T, error) {
	return func(value []byte) (*T, error) {
		v := initial()
		if len(value) == 0 {
			return v, nil
		}
		if err := json.Unmarshal(value, v); err != nil {
			return nil, errs.New(errs.Internal, "decoding the state of tidying: the stored record is damaged or of a newer format")
		}
		return v, nil
	}
}

func loadConfig(ctx context.Context, tx engine.Tx) (*Config, error) {
	e, err := tx.Get(ctx, configKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decode(defaults))
}

func loadStatus(ctx context.Context, tx engine.Tx) (*Status, error) {
	e, err := tx.Get(ctx, statusKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decode(func() *Status { return &Status{What: defaults().What, State: "Inactive"} }))
}

// loadRun returns the run that goes on, nil if none does.
func loadRun(ctx context.Context, tx engine.Tx) (*Run, error) {
	e, err := tx.Get(ctx, runKey)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, decode(func() *Run { return new(Run) }))
}

func put(tx engine.Tx, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the state of tidying: %w", err)
	}
	tx.Put(key, value)
	return nil
}

// read reads what is to be tidied, over what w says so far.
func (w *What) read(d *engine.Decoder) error {
	seconds := func(name string, value *int64) {
		*value = int64(d.Duration(name, time.Duration(*value)*time.Second) / time.Second)
	}
	w.Certs, w.Issuers = d.Bool("tidy_cert_store", w.Certs), d.Bool("tidy_expired_issuers", w.Issuers)
	w.Revoked = d.Bool("tidy_revoked_certs", d.Bool("tidy_revocation_list", w.Revoked))
	seconds("safety_buffer", &w.Buffer)
	seconds("issuer_safety_buffer", &w.IssuerBuffer)
	if err := d.Err(); err != nil {
		return err
	}
	if w.Buffer < 1 || w.IssuerBuffer < 1 {
		return errs.New(errs.Invalid, "safety_buffer and issuer_safety_buffer must be greater than zero seconds")
	}
	return nil
}

func (c *Config) show() *engine.Response {
	return &engine.Response{Data: c.What.show(engine.NewObject().Bool("enabled", c.Enabled).Int("interval_duration", c.Interval)).Value()}
}

func (w *What) show(o engine.Builder) engine.Builder {
	return o.Int("issuer_safety_buffer", w.IssuerBuffer).Int("safety_buffer", w.Buffer).
		Bool("tidy_cert_store", w.Certs).Bool("tidy_expired_issuers", w.Issuers).Bool("tidy_revoked_certs", w.Revoked)
}

func readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	return c.show(), nil
}

func (t *Tidier) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	c := *old
	d := req.Decode()
	c.Enabled = d.Bool("enabled", c.Enabled)
	c.Interval = int64(d.Duration("interval_duration", time.Duration(c.Interval)*time.Second) / time.Second)
	if err := c.read(&d); err != nil {
		return nil, err
	}
	if c.Interval < 60 {
		return nil, errs.New(errs.Invalid, "interval_duration must be at least a minute")
	}
	if c.Enabled && !c.Certs && !c.Revoked && !c.Issuers {
		return nil, errs.New(errs.Invalid, "Auto-tidy enabled but no tidy operations were requested. Enable at least one tidy operation to be run (tidy_cert_store, tidy_revoked_certs, tidy_expired_issuers).")
	}
	if err := put(tx, configKey, &c); err != nil {
		return nil, err
	}
	res := c.show()
	res.After = t.wake
	return res, nil
}
