package keyvault

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Metadata is the spec of a PushSecret's metadata.
type Metadata struct {
	Tags           map[string]string `json:"tags,omitempty"`
	ExpirationDate string            `json:"expirationDate,omitempty"` // RFC 3339
	ContentType    string            `json:"contentType,omitempty"`
}

// maxValue is Key Vault's limit, in bytes.
const maxValue = 25_000

// target returns the name of a secret that is written.
func target(key string) (string, error) {
	kind, name, err := parse(key)
	if err == nil && kind != kindSecret {
		return "", errs.Newf(errs.Unsupported, "key %q: only secrets are written; keys and certificates are imported by other tools", key)
	}
	return name, err
}

// asked reads what a PushSecret's metadata asks for.
func asked(raw json.RawMessage) (set azsecrets.SetSecretParameters, tags map[string]string, err error) {
	var m Metadata
	if err := push.Metadata(raw, &m); err != nil {
		return set, nil, err
	}
	if tags, err = push.Tags(m.Tags); err != nil {
		return set, nil, err
	}
	if m.ExpirationDate != "" {
		at, err := time.Parse(time.RFC3339, m.ExpirationDate)
		if err != nil {
			return set, nil, errs.Newf(errs.Invalid, "metadata.spec.expirationDate of the PushSecret is %q: write it as 2027-01-31T20:00:00Z", m.ExpirationDate)
		}
		at = at.UTC()
		set.SecretAttributes = &azsecrets.SecretAttributes{Expires: &at}
	}
	if m.ContentType != "" {
		set.ContentType = &m.ContentType
	}
	return set, tags, nil
}

// Write stores w.
func (s *Store) Write(ctx context.Context, w provider.Write) error {
	set, tags, err := asked(w.Metadata)
	if err != nil {
		return err
	}
	name, err := target(w.Key)
	if err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	old, err := s.get(ctx, kindSecret, name, "")
	switch {
	case errs.Is(err, errs.NotExist):
		old = nil
	case err != nil:
		return explain(err, w.Key, "")
	case !push.Managed(tagsOf(old.tags)):
		return push.Foreign(w.Key)
	}
	data := w.Value
	if w.Property != "" {
		base := redact.Secret{}
		if old != nil {
			base = redact.New(old.data)
		}
		if data, err = push.With(base, w.Property, w.Value); err != nil {
			return err
		}
	}
	return s.set(ctx, place{w.Key, name, old}, data, tags, set)
}

// place is where a secret is written, and what is there.
type place struct {
	key, name string // as the manifest and as the vault have it
	old       *object
}

// as reports whether o is already as p asks for, its value and tags aside.
func (o *object) as(p *azsecrets.SetSecretParameters) bool {
	return (p.ContentType == nil || o.contentType != nil && *p.ContentType == *o.contentType) &&
		(p.SecretAttributes == nil || o.expires != nil && o.expires.Equal(*p.SecretAttributes.Expires))
}

// set writes a version, where it is another one than old.
func (s *Store) set(ctx context.Context, at place, data redact.Secret, tags map[string]string, p azsecrets.SetSecretParameters) error { //nolint:cyclop // flat: a case after the other
	key, name, old := at.key, at.name, at.old
	switch {
	case data.Len() > maxValue:
		return errs.Newf(errs.TooLarge, "the value for %q has %d bytes: Key Vault takes %d", key, data.Len(), maxValue)
	case !utf8.Valid(data.Reveal()):
		return errs.Newf(errs.Invalid, "the value for %q is not text, which Key Vault holds alone: encode it as base64", key)
	}
	if old != nil {
		have := tagsOf(old.tags)
		if redact.New(old.data).Equal(data) && len(push.Missing(tags, have)) == 0 && old.as(&p) {
			return nil
		}
		maps.Copy(have, tags)
		tags = have
		if p.ContentType == nil {
			p.ContentType = old.contentType
		}
		if p.SecretAttributes == nil && old.expires != nil {
			p.SecretAttributes = &azsecrets.SecretAttributes{Expires: old.expires}
		}
	}
	text := data.RevealString()
	p.Value, p.Tags = &text, map[string]*string{}
	for tag, value := range tags {
		p.Tags[tag] = &value
	}
	put := func() error {
		_, err := do(ctx, fmt.Sprintf("writing secret %q to Key Vault", name),
			func(ctx context.Context) (azsecrets.SetSecretResponse, error) {
				return s.secrets.SetSecret(ctx, name, p, nil)
			})
		return err
	}
	err := put()
	if is(err, "ObjectIsDeletedButRecoverable") {
		if err := s.recover(ctx, key, name); err != nil {
			return err
		}
		return put()
	}
	return err
}

// How often and how long apart it is looked whether a secret is there again.
const (
	recoverTries = 20
	recoverPause = time.Second
)

// recover brings back a secret that was deleted and that an operator wrote.
func (s *Store) recover(ctx context.Context, key, name string) error {
	gone, err := do(ctx, fmt.Sprintf("reading the deleted secret %q of Key Vault", name),
		func(ctx context.Context) (azsecrets.GetDeletedSecretResponse, error) {
			return s.secrets.GetDeletedSecret(ctx, name, nil)
		})
	switch {
	case err != nil:
		return errs.Newf(errs.Conflict, "%q was deleted and its name is not free yet: it is tried again (%w)", key, err)
	case !push.Managed(tagsOf(gone.Tags)):
		return push.Foreign(key)
	}
	if _, err := do(ctx, fmt.Sprintf("recovering secret %q of Key Vault", name),
		func(ctx context.Context) (azsecrets.RecoverDeletedSecretResponse, error) {
			return s.secrets.RecoverDeletedSecret(ctx, name, nil)
		}); err != nil {
		return err
	}
	for range recoverTries {
		_, err := s.get(ctx, kindSecret, name, "")
		if !errs.Is(err, errs.NotExist) && !errs.Is(err, errs.Conflict) {
			return err
		}
		select {
		case <-s.cfg.Clock.After(recoverPause):
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "recovering secret %q of Key Vault: %w", name, ctx.Err())
		}
	}
	return errs.Newf(errs.Conflict, "%q is still being recovered: it is tried again", key)
}

// Delete removes what Write stored: a property, and with the last one the secret.
func (s *Store) Delete(ctx context.Context, at provider.Place) error {
	name, err := target(at.Key)
	if err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	old, err := s.get(ctx, kindSecret, name, "")
	switch {
	case errs.Is(err, errs.NotExist):
		return nil
	case err != nil:
		return explain(err, at.Key, "")
	case !push.Managed(tagsOf(old.tags)):
		return nil
	}
	if at.Property != "" {
		left, err := push.Without(redact.New(old.data), at.Property)
		if err != nil {
			return err
		}
		if !left.Empty() {
			return s.set(ctx, place{at.Key, name, old}, left, tagsOf(old.tags), azsecrets.SetSecretParameters{})
		}
	}
	_, err = do(ctx, fmt.Sprintf("deleting secret %q from Key Vault", name),
		func(ctx context.Context) (azsecrets.DeleteSecretResponse, error) {
			return s.secrets.DeleteSecret(ctx, name, nil)
		})
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

// Exists reports whether there is a value that can be read.
func (s *Store) Exists(ctx context.Context, at provider.Place) (bool, error) {
	name, err := target(at.Key)
	if err != nil {
		return false, err
	}
	o, err := s.get(ctx, kindSecret, name, "")
	switch {
	case errs.Is(err, errs.NotExist), is(err, "SecretDisabled"):
		return false, nil
	case err != nil:
		return false, err
	}
	return push.Has(redact.New(o.data), at.Property), nil
}
