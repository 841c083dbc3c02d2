package revocation

import (
	"context"
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const configKey = "config/crl"

// Config is how CRLs and OCSP answers are made. Durations are kept as they were
// written.
type Config struct {
	Expiry        string `json:"expiry"`
	Disable       bool   `json:"disable"`
	OCSPDisable   bool   `json:"ocsp_disable"`
	OCSPExpiry    string `json:"ocsp_expiry"`
	AutoRebuild   bool   `json:"auto_rebuild"`
	Grace         string `json:"auto_rebuild_grace_period"`
	EnableDelta   bool   `json:"enable_delta"`
	DeltaInterval string `json:"delta_rebuild_interval"`
}

func defaults() *Config {
	return &Config{Expiry: "72h", OCSPExpiry: "12h", Grace: "12h", DeltaInterval: "15m"}
}

func decodeConfig(value []byte) (*Config, error) {
	c := defaults()
	if len(value) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(value, c); err != nil {
		return nil, errs.New(errs.Internal, "decoding config/crl: the stored record is damaged or of a newer format")
	}
	return c, nil
}

func loadConfig(ctx context.Context, tx engine.Tx) (*Config, error) {
	e, err := tx.Get(ctx, configKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decodeConfig)
}

// span returns a duration of the configuration, which check has seen.
func span(text string) time.Duration {
	d, _ := engine.ParseDuration(text)
	return d
}

// early is how long before its end a CRL is made anew.
func (c *Config) early() time.Duration {
	expiry := span(c.Expiry)
	return min(span(c.Grace), expiry/2)
}

func (c *Config) check() error {
	for _, f := range []struct {
		name, text string
		least      time.Duration
	}{
		{"expiry", c.Expiry, time.Minute}, {"ocsp_expiry", c.OCSPExpiry, 0},
		{"auto_rebuild_grace_period", c.Grace, 0}, {"delta_rebuild_interval", c.DeltaInterval, time.Second},
	} {
		d, ok := engine.ParseDuration(f.text)
		if !ok || d < f.least || d > 100*365*24*time.Hour {
			return errs.Newf(errs.Invalid, "%s must be a duration such as 72h, at least %s", f.name, f.least)
		}
	}
	switch {
	case c.AutoRebuild && span(c.Grace) >= span(c.Expiry):
		return errs.New(errs.Invalid, "CRL auto-rebuilding grace period (auto_rebuild_grace_period) must be strictly shorter than CRL expiry (expiry)")
	case c.EnableDelta && !c.AutoRebuild:
		return errs.New(errs.Invalid, "Delta CRLs cannot be enabled when auto rebuilding is disabled as the complete CRL is always regenerated!")
	case c.EnableDelta && span(c.DeltaInterval) >= span(c.Expiry):
		return errs.New(errs.Invalid, "CRL delta rebuild window (delta_rebuild_interval) must be strictly shorter than CRL expiry (expiry)")
	}
	return nil
}

func (c *Config) show() (*engine.Response, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding config/crl: %w", err)
	}
	return &engine.Response{Data: data}, nil
}

func readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	return c.show()
}

func (h *handlers) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	c := &Config{
		Expiry:      d.String("expiry", old.Expiry),
		Disable:     d.Bool("disable", old.Disable),
		OCSPDisable: d.Bool("ocsp_disable", old.OCSPDisable), OCSPExpiry: d.String("ocsp_expiry", old.OCSPExpiry),
		AutoRebuild: d.Bool("auto_rebuild", old.AutoRebuild), Grace: d.String("auto_rebuild_grace_period", old.Grace),
		EnableDelta: d.Bool("enable_delta", old.EnableDelta), DeltaInterval: d.String("delta_rebuild_interval", old.DeltaInterval),
	}
	for name, text := range map[string]*string{"expiry": &c.Expiry, "ocsp_expiry": &c.OCSPExpiry, "auto_rebuild_grace_period": &c.Grace, "delta_rebuild_interval": &c.DeltaInterval} {
		if *text == "" {
			return nil, errs.Newf(errs.Invalid, "%s must be a duration such as 72h", name)
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	res, err := c.show()
	if err != nil {
		return nil, err
	}
	tx.Put(configKey, res.Data)
	if c.Disable != old.Disable || c.Expiry != old.Expiry || c.EnableDelta != old.EnableDelta {
		if err := markAll(ctx, tx, req.ID); err != nil {
			return nil, err
		}
		res.After = h.builder.Force
	}
	return res, nil
}
