package sys

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

func tuneFields() []engine.Field {
	return []engine.Field{
		{Name: "default_lease_ttl", Type: engine.Duration, Help: "lifetime given when none is asked for; 0 or system = the system's"},
		{Name: "max_lease_ttl", Type: engine.Duration, Help: "the longest lifetime; 0 or system = the system's"},
		{Name: "listing_visibility", Type: engine.String, Help: "unauth, hidden or empty"},
		{Name: "token_type", Type: engine.String, Help: "auth methods: service, batch, default-service or default-batch"},
		{Name: "user_lockout_config", Type: engine.Object, Help: "auth methods with passwords: lockout_threshold, lockout_duration, lockout_counter_reset_duration, lockout_disable"},
		{Name: "force_no_cache", Type: engine.Bool, Help: "accepted and shown"},
		{Name: "audit_non_hmac_request_keys", Type: engine.Strings, Help: "request fields that audit lines show in the clear"},
		{Name: "audit_non_hmac_response_keys", Type: engine.Strings, Help: "response fields that audit lines show in the clear"},
		{Name: "passthrough_request_headers", Type: engine.Strings, Help: "request headers the engine may see"},
		{Name: "allowed_response_headers", Type: engine.Strings, Help: "response headers the engine may set"},
	}
}

func (e *Engine) readTune(s side) engine.Handler {
	return func(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
		m, err := e.find(s, req)
		if err != nil {
			return nil, err
		}
		t := tuning(m)
		t["description"] = m.Description
		t["default_lease_ttl"], t["max_lease_ttl"] = int64(m.TTLs.Default.Seconds()), int64(m.TTLs.Max.Seconds())
		if len(m.Options) > 0 {
			t["options"] = m.Options
		}
		return respond(t, true)
	}
}

// tuning is a mount's config in the form of sys/mounts: unset lists are left out.
func tuning(m *mount.Mount) map[string]any {
	c := &m.Config
	t := map[string]any{
		"default_lease_ttl": int64(c.DefaultTTL.Seconds()),
		"max_lease_ttl":     int64(c.MaxTTL.Seconds()),
		"force_no_cache":    c.ForceNoCache,
	}
	if c.ListingVisibility != "" {
		t["listing_visibility"] = c.ListingVisibility
	}
	if strings.HasPrefix(m.Path, mount.AuthPrefix) {
		t["token_type"] = cmp.Or(c.TokenType, mount.DefaultService)
	}
	if c.Lockout != nil {
		t["user_lockout_config"] = showLockout(c.Lockout)
	}
	for name, list := range map[string][]string{
		"audit_non_hmac_request_keys": c.NonHMACRequest, "audit_non_hmac_response_keys": c.NonHMACResponse,
		"passthrough_request_headers": c.PassthroughHeaders, "allowed_response_headers": c.AllowedHeaders,
	} {
		if len(list) > 0 {
			t[name] = list
		}
	}
	return t
}

func (e *Engine) writeTune(s side) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		m, err := e.find(s, req)
		if err != nil {
			return nil, err
		}
		if err := shared(m, req.Namespace); err != nil {
			return nil, err
		}
		return nil, e.cfg.Mounts.Update(ctx, tx, m.ID, func(entry *mount.Entry) error {
			d := req.Decode()
			entry.Description = d.String("description", entry.Description)
			options := d.StringMap("options")
			if err := d.Err(); err != nil {
				return err
			}
			if err := retuneOptions(entry, options); err != nil {
				return err
			}
			return applyTuning(entry, req.Body.Raw())
		})
	}
}

// retuneOptions merges options, and refuses to turn a running kv into the
// other version: its stored data would no longer fit.
func retuneOptions(entry *mount.Entry, options map[string]string) error {
	for name, value := range options {
		if name == "version" && entry.Options["version"] != value {
			return errs.New(errs.Invalid, "the version of a kv mount cannot be changed: mount a new one and copy the secrets")
		}
	}
	if len(options) > 0 {
		merged := maps.Clone(entry.Options)
		if merged == nil {
			merged = map[string]string{}
		}
		maps.Copy(merged, options)
		entry.Options = merged
	}
	return nil
}

// applyTuning changes entry's config by the fields present in raw, a JSON object or nil.
func applyTuning(entry *mount.Entry, raw jsontext.Value) error {
	c := &entry.Config
	body, err := engine.ParseBody(raw)
	if err != nil {
		return errs.Newf(errs.Invalid, "field config: %w", err)
	}
	d := body.Decode()
	c.DefaultTTL = ttlField(&d, "default_lease_ttl", c.DefaultTTL)
	c.MaxTTL = ttlField(&d, "max_lease_ttl", c.MaxTTL)
	c.ForceNoCache = d.Bool("force_no_cache", c.ForceNoCache)
	c.ListingVisibility = d.String("listing_visibility", c.ListingVisibility)
	c.NonHMACRequest = listField(&d, "audit_non_hmac_request_keys", c.NonHMACRequest)
	c.NonHMACResponse = listField(&d, "audit_non_hmac_response_keys", c.NonHMACResponse)
	c.PassthroughHeaders = listField(&d, "passthrough_request_headers", c.PassthroughHeaders)
	c.AllowedHeaders = listField(&d, "allowed_response_headers", c.AllowedHeaders)
	kind := mount.TokenType(d.String("token_type", ""))
	if c.Lockout, err = lockoutField(&d, c.Lockout); err != nil {
		return err
	}
	if err := d.Err(); err != nil {
		return err
	}
	switch kind {
	case "":
	case mount.Service, mount.DefaultService, mount.Batch, mount.DefaultBatch:
		if entry.Class != mount.Auth {
			return errs.New(errs.Invalid, "'token_type' can only be set on auth methods that log in")
		}
		c.TokenType = kind
	default:
		return errs.New(errs.Invalid, "unknown token_type: use service, batch, default-service or default-batch")
	}
	switch c.ListingVisibility {
	case "", "unauth", "hidden":
	default:
		return errs.New(errs.Invalid, "listing_visibility must be unauth, hidden or empty")
	}
	if c.MaxTTL > 0 && c.DefaultTTL > c.MaxTTL {
		return errs.New(errs.Invalid, "default_lease_ttl is longer than max_lease_ttl")
	}
	return nil
}

// ttlField reads a duration that may also be the word system for the default.
func ttlField(d *engine.Decoder, name string, now time.Duration) time.Duration {
	if raw := d.Raw(name); string(raw) == `"system"` {
		return 0
	}
	return d.Duration(name, now)
}

func listField(d *engine.Decoder, name string, now []string) []string {
	if !d.Has(name) {
		return now
	}
	return d.Strings(name)
}
