package approle

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// secretID is what is known of a secret ID; never itself.
type secretID struct {
	Accessor   string            `json:"accessor"`
	Uses       int64             `json:"uses,omitempty"` // left; 0 = unlimited
	TTL        int64             `json:"ttl,omitempty"`  // seconds, as made; 0 = for ever
	Created    time.Time         `json:"created"`
	Updated    time.Time         `json:"updated"`
	Expires    time.Time         `json:"expires,omitzero"` // zero: never
	Metadata   map[string]string `json:"metadata,omitempty"`
	CIDRs      []string          `json:"cidr_list,omitempty"`         // that logins may come from
	TokenCIDRs []string          `json:"token_bound_cidrs,omitempty"` // of tokens, in place of the role's

	cidrs, tokenCIDRs []netip.Prefix
}

// Bounds of what is kept with a secret ID and shown with every token of it.
const (
	maxMetadata      = 64
	maxMetadataBytes = 8 << 10
	maxSecretID      = 4096
)

func decodeSecretID(b []byte) (*secretID, error) {
	s := new(secretID)
	if json.Unmarshal(b, s) != nil || s.prepare() != nil {
		return nil, errs.New(errs.Internal, "a stored secret ID is damaged")
	}
	return s, nil
}

func (s *secretID) prepare() (err error) {
	if s.cidrs, err = auth.ParseCIDRs(s.CIDRs); err != nil {
		return errs.Newf(errs.Invalid, "cidr_list: %w", err)
	}
	if s.tokenCIDRs, err = auth.ParseCIDRs(s.TokenCIDRs); err != nil {
		return errs.Newf(errs.Invalid, "token_bound_cidrs: %w", err)
	}
	return nil
}

func (s *secretID) ended(now time.Time) bool { return !s.Expires.IsZero() && !now.Before(s.Expires) }

func secretKey(set, at string) string         { return "secret/" + set + "/" + at }
func accessorKey(set, accessor string) string { return "accessor/" + set + "/" + accessor }

// hourOf names the hour within which t lies; names sort as times do.
func hourOf(t time.Time) string { return t.UTC().Format("2006010215") }

func dueKey(s *secretID, at string) string { return dueFolder + hourOf(s.Expires) + "/" + at }

// load returns nil if the role has no such secret ID, or if it has ended.
func load(ctx context.Context, tx engine.Tx, r *role, at string, now time.Time) (*secretID, error) {
	stored, err := tx.Get(ctx, secretKey(r.Set, at))
	if err != nil || !stored.Exists() {
		return nil, err
	}
	s, err := store.Decode(stored, decodeSecretID)
	if err != nil || s.ended(now) {
		return nil, err
	}
	return s, nil
}

func put(tx engine.Tx, r *role, at string, s *secretID) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a secret ID: %w", err)
	}
	tx.Put(secretKey(r.Set, at), raw)
	return nil
}

func remove(tx engine.Tx, set, at string, s *secretID) {
	tx.Delete(secretKey(set, at))
	tx.Delete(accessorKey(set, s.Accessor))
	if !s.Expires.IsZero() {
		tx.Delete(dueKey(s, at))
	}
}

func (e *Engine) secretRoutes() []engine.Route {
	making := []engine.Field{
		{Name: "metadata", Type: engine.Map, Help: "kept with the secret ID and shown with its tokens; an object, or JSON in a string"},
		{Name: "cidr_list", Type: engine.Strings, Help: "addresses or networks that logins with it may come from"},
		{Name: "token_bound_cidrs", Type: engine.Strings, Help: "addresses or networks of its tokens, in place of the role's"},
		{Name: "num_uses", Type: engine.Int, Help: "logins it is good for; at most the role's"},
		{Name: "ttl", Type: engine.Duration, Help: "how long it lives; at most the role's"},
	}
	id := []engine.Field{{Name: "secret_id", Type: engine.String, Secret: true, Help: "the secret ID"}}
	accessor := []engine.Field{{Name: "secret_id_accessor", Type: engine.String, Help: "what names a secret ID without being it"}}
	destroyed := func(find finder) handlers {
		return handlers{engine.Update: e.destroy(find), engine.Delete: e.destroy(find)}
	}
	return []engine.Route{
		{
			Pattern: "role/{name}/secret-id", Canonical: strings.ToLower, Fields: making,
			Handlers: handlers{engine.Update: e.generate, engine.List: e.listAccessors},
			Summary:  "Make a secret ID, or list the accessors of all.", Help: "Ask for it wrapped, so that only its user ever sees it.",
		},
		{
			Pattern: "role/{name}/custom-secret-id", Canonical: strings.ToLower, Fields: append(slices.Clone(making), id...),
			Handlers: handlers{engine.Update: e.custom},
			Summary:  "Give the role a secret ID of your choice.", Help: "It must be hard to guess: what guards it is its length alone.",
		},
		{
			Pattern: "role/{name}/secret-id/lookup", Canonical: strings.ToLower, Fields: id,
			Handlers: handlers{engine.Update: e.lookup(e.byID)}, Summary: "What is known of a secret ID.", Help: "It does not use it up.",
		},
		{
			Pattern: "role/{name}/secret-id/destroy", Canonical: strings.ToLower, Fields: id,
			Handlers: destroyed(e.byID), Summary: "Destroy a secret ID.", Help: "Tokens that it bought live on.",
		},
		{
			Pattern: "role/{name}/secret-id-accessor/lookup", Canonical: strings.ToLower, Fields: accessor,
			Handlers: handlers{engine.Update: e.lookup(byAccessor)}, Summary: "What is known of a secret ID, by accessor.", Help: "It does not use it up.",
		},
		{
			Pattern: "role/{name}/secret-id-accessor/destroy", Canonical: strings.ToLower, Fields: accessor,
			Handlers: destroyed(byAccessor), Summary: "Destroy a secret ID, by accessor.", Help: "Tokens that it bought live on.",
		},
	}
}

func (e *Engine) generate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	id, err := e.uuid()
	if err != nil {
		return nil, err
	}
	return e.add(ctx, tx, req, id)
}

func (e *Engine) custom(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	id := d.String("secret_id", "")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case id == "":
		return nil, errs.New(errs.Invalid, "missing secret_id")
	case len(id) < 16 || len(id) > maxSecretID:
		return nil, errs.Newf(errs.Invalid, "a secret_id of your choice must have between 16 and %d characters; leave it to the server, which makes one of 122 random bits", maxSecretID)
	}
	return e.add(ctx, tx, req, id)
}

// add stores a secret ID for the role of the request.
func (e *Engine) add(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (*engine.Response, error) {
	_, r, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return notFound(err)
	}
	if !r.BindSecretID {
		return nil, errs.New(errs.Invalid, "bind_secret_id is not set on the role: its logins need no secret ID")
	}
	s, err := newSecretID(req, r)
	if err != nil {
		return nil, err
	}
	if s.Accessor, err = e.uuid(); err != nil {
		return nil, err
	}
	at, err := e.hash(ctx, tx, r.Set, id)
	if err != nil {
		return nil, err
	}
	taken, err := tx.Get(ctx, secretKey(r.Set, at))
	if err != nil {
		return nil, err
	}
	if taken.Exists() {
		return nil, errs.New(errs.Invalid, "secret_id is already registered: choose another one")
	}
	if err := put(tx, r, at, s); err != nil {
		return nil, err
	}
	tx.Put(accessorKey(r.Set, s.Accessor), []byte(at))
	if !s.Expires.IsZero() {
		tx.Put(dueKey(s, at), []byte(r.Set))
	}
	return &engine.Response{Data: engine.NewObject().
		Str("secret_id", id).Str("secret_id_accessor", s.Accessor).
		Int("secret_id_num_uses", s.Uses).Int("secret_id_ttl", s.TTL).Value()}, nil
}

// newSecretID reads the fields of a request within the limits of r.
func newSecretID(req *engine.Request, r *role) (*secretID, error) {
	d := req.Decode()
	s := &secretID{
		Uses:    d.Int("num_uses", r.SecretUses),
		TTL:     int64(d.Duration("ttl", time.Duration(r.SecretTTL)*time.Second) / time.Second),
		CIDRs:   d.Strings("cidr_list"),
		Created: req.Time, Updated: req.Time, TokenCIDRs: d.Strings("token_bound_cidrs"),
	}
	var err error
	if s.Metadata, err = metadata(&d); err != nil {
		return nil, err
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := s.inLimits(r); err != nil {
		return nil, err
	}
	if s.TTL > 0 {
		s.Expires = req.Time.Add(time.Duration(s.TTL) * time.Second)
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := within("cidr_list", s.cidrs, r.secretIDCIDRs); err != nil {
		return nil, err
	}
	bound, err := auth.ParseCIDRs(r.BoundCIDRs)
	if err != nil {
		return nil, err
	}
	return s, within("token_bound_cidrs", s.tokenCIDRs, bound)
}

// inLimits refuses more uses or a longer life than the role's secret IDs have.
func (s *secretID) inLimits(r *role) error {
	switch {
	case s.Uses < 0:
		return errs.New(errs.Invalid, "num_uses cannot be negative")
	case s.TTL < 0:
		return errs.New(errs.Invalid, "ttl cannot be negative")
	case r.SecretUses > 0 && (s.Uses == 0 || s.Uses > r.SecretUses):
		return errs.Newf(errs.Invalid, "num_uses cannot exceed the role's secret_id_num_uses, which is %d", r.SecretUses)
	case r.SecretTTL > 0 && (s.TTL == 0 || s.TTL > r.SecretTTL):
		return errs.Newf(errs.Invalid, "ttl cannot exceed the role's secret_id_ttl, which is %d seconds", r.SecretTTL)
	}
	return nil
}

// metadata takes an object, or one encoded in a string as older clients send it.
func metadata(d *engine.Decoder) (map[string]string, error) {
	raw := d.Raw("metadata")
	if raw != nil && raw.Kind() == '"' {
		text := strings.TrimSpace(d.String("metadata", ""))
		if text == "" {
			return nil, nil
		}
		inner, err := engine.ParseBody([]byte(`{"metadata":` + text + `}`))
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "field metadata must be an object, or one as JSON in a string: %w", err)
		}
		encoded := inner.Decode()
		d = &encoded
	}
	m := d.StringMap("metadata")
	if d.Err() != nil {
		return nil, d.Err()
	}
	size := 0
	for k, v := range m {
		size += len(k) + len(v)
	}
	if len(m) > maxMetadata || size > maxMetadataBytes {
		return nil, errs.Newf(errs.Invalid, "metadata may have at most %d entries and %d bytes", maxMetadata, maxMetadataBytes)
	}
	return m, nil
}

// within refuses networks of a secret ID that are wider than the role's.
func within(field string, inner, outer []netip.Prefix) error {
	if len(outer) == 0 {
		return nil
	}
	for _, in := range inner {
		if !slices.ContainsFunc(outer, func(out netip.Prefix) bool { return out.Bits() <= in.Bits() && out.Contains(in.Addr()) }) {
			return errs.Newf(errs.Invalid, "%s must lie within the networks that the role is bound to", field)
		}
	}
	return nil
}

// finder returns the hash of the secret ID that a request means.
type finder func(ctx context.Context, tx engine.Tx, req *engine.Request, r *role) (at string, err error)

func (e *Engine) byID(ctx context.Context, tx engine.Tx, req *engine.Request, r *role) (string, error) {
	d := req.Decode()
	id := d.String("secret_id", "")
	if d.Err() == nil && id == "" {
		return "", errs.New(errs.Invalid, "missing secret_id")
	}
	if d.Err() != nil {
		return "", d.Err()
	}
	return e.hash(ctx, tx, r.Set, id)
}

func byAccessor(ctx context.Context, tx engine.Tx, req *engine.Request, r *role) (string, error) {
	d := req.Decode()
	accessor := d.String("secret_id_accessor", "")
	switch {
	case d.Err() != nil:
		return "", d.Err()
	case accessor == "":
		return "", errs.New(errs.Invalid, "missing secret_id_accessor")
	case strings.Contains(accessor, "/") || len(accessor) > 64:
		return "", errs.New(errs.NotExist, "there is no secret ID with this accessor")
	}
	stored, err := tx.Get(ctx, accessorKey(r.Set, accessor))
	if err == nil && !stored.Exists() {
		err = errs.New(errs.NotExist, "there is no secret ID with this accessor")
	}
	return string(stored.Value), err
}

func (e *Engine) lookup(find finder) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		_, s, _, err := e.find(ctx, tx, req, find)
		if err != nil || s == nil {
			return nil, err
		}
		return &engine.Response{Data: s.show()}, nil
	}
}

func (e *Engine) destroy(find finder) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		r, s, at, err := e.find(ctx, tx, req, find)
		if err == nil && s != nil {
			remove(tx, r.Set, at, s)
		}
		return nil, err
	}
}

func (e *Engine) find(ctx context.Context, tx engine.Tx, req *engine.Request, find finder) (*role, *secretID, string, error) {
	_, r, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return nil, nil, "", err
	}
	at, err := find(ctx, tx, req, r)
	if err != nil {
		return nil, nil, "", err
	}
	s, err := load(ctx, tx, r, at, req.Time)
	return r, s, at, err
}

func (s *secretID) show() []byte {
	return engine.NewObject().
		Strs("cidr_list", s.CIDRs).
		Time("creation_time", s.Created).
		Time("expiration_time", s.Expires).
		Time("last_updated_time", s.Updated).
		StrMap("metadata", s.Metadata).
		Str("secret_id_accessor", s.Accessor).
		Int("secret_id_num_uses", s.Uses).
		Int("secret_id_ttl", s.TTL).
		Strs("token_bound_cidrs", s.TokenCIDRs).Value()
}

func (e *Engine) listAccessors(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	_, r, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return notFound(err)
	}
	names, err := tx.List(ctx, "accessor/"+r.Set+"/", "", 0)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Strs("keys", slices.Sorted(slices.Values(names))).Value()}, nil
}
