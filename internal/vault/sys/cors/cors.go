package cors

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Key is where the settings are stored, as JSON. The gate has them loaded again
// when it changes.
const Key = "settings/cors"

// maxOrigins bounds what every request of a browser is compared with.
const maxOrigins = 100

// Settings are which origins are allowed, and which headers besides those that
// clients of the API send. Without origins all is off.
type Settings struct {
	Origins []string `json:"allowed_origins"`
	Headers []string `json:"allowed_headers,omitempty"`
}

// Reader is what loading needs.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
}

// Load reads the settings; the zero Settings if there are none.
func Load(ctx context.Context, r Reader) (Settings, error) {
	var s Settings
	e, err := r.Get(ctx, Key)
	if err != nil || !e.Exists() {
		return s, err
	}
	if err := json.Unmarshal(e.Value, &s); err != nil {
		return s, errs.Newf(errs.Internal, "reading the settings of CORS: %w", err)
	}
	return s, nil
}

// Routes are those below sys/.
func Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "config/cors", Sudo: true, Summary: "Which origins' pages browsers may let speak to this vault.",
		Help: "It is off until origins are named. Cookies are never allowed: a page brings its token.",
		Fields: []engine.Field{
			{Name: "allowed_origins", Type: engine.Strings, Help: `as browsers send them, for example https://ui.example.com; "*" alone is any`},
			{Name: "allowed_headers", Type: engine.Strings, Help: "request headers besides those that clients of this API send"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Read: read, engine.Update: write, engine.Delete: remove},
	}}
}

func read(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	data := map[string]any{"enabled": len(s.Origins) > 0}
	if len(s.Origins) > 0 {
		data["allowed_origins"], data["allowed_headers"] = s.Origins, append([]string{}, s.Headers...)
	}
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}

func write(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	s := Settings{d.Strings("allowed_origins"), d.Strings("allowed_headers")}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the settings of CORS: %w", err)
	}
	tx.Put(Key, raw)
	return nil, nil
}

func remove(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	tx.Delete(Key)
	return nil, nil
}

// check refuses origins that no browser would send, and headers that are none.
func (s *Settings) check() error { //nolint:cyclop // a flat list of conditions
	switch {
	case len(s.Origins) == 0:
		return errs.New(errs.Invalid, `missing allowed_origins: name at least one, or "*"; DELETE turns CORS off`)
	case len(s.Origins) > maxOrigins || len(s.Headers) > maxOrigins:
		return errs.Newf(errs.Invalid, "at most %d origins and headers can be allowed", maxOrigins)
	}
	for _, o := range s.Origins {
		if o == "*" {
			if len(s.Origins) > 1 {
				return errs.New(errs.Invalid, "to allow all origins the '*' must be the only value for allowed_origins")
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme == "" || o != strings.ToLower(u.Scheme+"://"+u.Host) {
			return errs.Newf(errs.Invalid, "allowed_origins: %.100q is no origin: give scheme, host and port, in small letters and without a path, as in https://ui.example.com", o)
		}
	}
	for _, h := range s.Headers {
		if !token(h) {
			return errs.Newf(errs.Invalid, "allowed_headers: %.100q is no name of a header", h)
		}
	}
	return nil
}

// token reports whether s is one (RFC 9110, 5.6.2).
func token(s string) bool {
	for _, c := range s {
		if c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) {
			return false
		}
	}
	return s != "" && s != "*"
}
