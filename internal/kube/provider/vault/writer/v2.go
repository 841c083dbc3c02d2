package writer

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// API is what a Writer needs of a store.
type API interface {
	// Read reads a secret, or its metadata.
	Read(ctx context.Context, req provider.Request) (provider.Value, error)
	// Call makes one request, as provider.Caller says.
	Call(ctx context.Context, method, path string, body any) (json.RawMessage, error)
}

// Config is what a Writer needs. All fields are required.
type Config struct {
	API API
	V1  bool // the version of the engine
	// Paths returns where a key's data is, and with v2 its metadata.
	Paths func(key string) (data, metadata string, err error)
	// Canonical writes an object in the way that Read does.
	Canonical func(object json.RawMessage) redact.Secret
}

// Writer writes to one store. It is safe for concurrent use.
type Writer struct {
	Config
	turns push.Turns
}

var _ provider.Writer = (*Writer)(nil)

// New returns a Writer.
func New(cfg Config) *Writer { return &Writer{Config: cfg} }

// Metadata is the spec of a PushSecret's metadata: custom metadata of a KV v2
// secret, added to what is there, or in place of it with mergePolicy Replace.
type Metadata struct {
	CustomMetadata map[string]string `json:"customMetadata,omitempty"`
	MergePolicy    string            `json:"mergePolicy,omitempty"` // Merge (default) or Replace
}

func metadata(raw json.RawMessage) (m Metadata, err error) {
	if err := push.Metadata(raw, &m); err != nil {
		return m, err
	}
	switch m.MergePolicy {
	case "", "Merge", "Replace":
	default:
		return m, errs.Newf(errs.Invalid, "metadata.spec.mergePolicy of the PushSecret is %q: it must be Merge or Replace", m.MergePolicy)
	}
	m.CustomMetadata, err = push.Tags(m.CustomMetadata)
	return m, err
}

// over returns the custom metadata that a secret with have gets.
func (m Metadata) over(have map[string]string) map[string]string {
	out := map[string]string{}
	if m.MergePolicy != "Replace" {
		maps.Copy(out, have)
	}
	maps.Copy(out, m.CustomMetadata)
	return out
}

// tries is how often a write that crossed another is made anew.
const tries = 4

// errCrossed ends a write in the middle because somebody else wrote.
var errCrossed = errs.New(errs.Conflict, "others write to the same secret at the same time: it is tried again")

// Write stores w. Whole values are JSON objects, which is all that KV holds.
func (s *Writer) Write(ctx context.Context, w provider.Write) error {
	m, err := metadata(w.Metadata)
	if err != nil {
		return err
	}
	if w.Property == "" && objectOf(w.Value) == nil {
		return errs.Newf(errs.Invalid, "the value for %q is not a JSON object, which is all that a KV engine holds: name a property in remoteRef", w.Key)
	}
	return s.changing(ctx, w.Key, func(path, metadata string) error {
		if s.V1 {
			return s.writeV1(ctx, path, w)
		}
		return s.writeV2(ctx, secret2{path: path, metadata: metadata}, w, m)
	})
}

// Delete removes what Write stored: a property, and with the last one the secret
// with all its versions.
func (s *Writer) Delete(ctx context.Context, at provider.Place) error {
	return s.changing(ctx, at.Key, func(path, metadata string) error {
		if s.V1 {
			return s.deleteV1(ctx, path, at)
		}
		return s.deleteV2(ctx, secret2{path: path, metadata: metadata}, at)
	})
}

// Exists reports whether there is a current value.
func (s *Writer) Exists(ctx context.Context, at provider.Place) (bool, error) {
	v, err := s.API.Read(ctx, provider.Request{Key: at.Key})
	switch {
	case errs.Is(err, errs.NotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return push.Has(v.Data, at.Property), nil
}

// changing runs change for the path of key, one at a time for each path, and again
// when it was crossed.
func (s *Writer) changing(ctx context.Context, key string, change func(path, metadata string) error) error {
	path, metadata, err := s.Paths(key)
	if err != nil {
		return err
	}
	done, err := s.turns.Take(ctx, path)
	if err != nil {
		return err
	}
	defer done()
	for range tries {
		if err = change(path, metadata); err != errCrossed { //nolint:errorlint // it is never wrapped
			return err
		}
	}
	return err
}

// secret2 is a KV v2 secret as a write finds it.
type secret2 struct {
	path, metadata string            // of the API
	absent         bool              // there is not even metadata
	custom         map[string]string // its custom metadata
	version        json.Number       // the current one, deleted or not
	data           redact.Secret     // of that; empty when it is deleted
}

func (c secret2) managed() bool { return push.Managed(c.custom) }

// look reads what is there.
func (s *Writer) look(ctx context.Context, at secret2, key string) (secret2, error) {
	c := secret2{path: at.path, metadata: at.metadata, version: "0"}
	about, err := s.API.Read(ctx, provider.Request{Key: key, Metadata: true})
	if errs.Is(err, errs.NotExist) {
		c.absent = true
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.version = json.Number(about.Version)
	if c.custom, err = texts(about); err != nil {
		return c, errs.Newf(errs.Invalid, "reading %q: %w", c.metadata, err)
	}
	v, err := s.API.Read(ctx, provider.Request{Key: key})
	if errs.Is(err, errs.NotExist) {
		return c, nil
	}
	c.version, c.data = json.Number(v.Version), v.Data
	return c, err
}

func texts(v provider.Value) (map[string]string, error) {
	var out map[string]string
	if json.Unmarshal(v.Data.Reveal(), &out) != nil {
		return nil, errs.New(errs.Invalid, "its custom metadata is not text")
	}
	return out, nil
}

// writeV2 marks a new secret before it gets its first version, so that a write
// that ends in between is known for ours and finished by the next one.
func (s *Writer) writeV2(ctx context.Context, at secret2, w provider.Write, m Metadata) error {
	c, err := s.look(ctx, at, w.Key)
	switch {
	case err != nil:
		return err
	case !c.absent && !c.managed():
		return push.Foreign(w.Key)
	}
	data, err := s.merged(c.data, w)
	if err != nil {
		return err
	}
	if custom := m.over(c.custom); c.absent || !maps.Equal(custom, c.custom) {
		if err := s.describe(ctx, c, custom); err != nil {
			return err
		}
	}
	if data.Equal(c.data) && !c.data.Empty() {
		return nil
	}
	err = s.put(ctx, c, w.Key, data)
	if err == errCrossed && c.absent { //nolint:errorlint // it is never wrapped
		return s.takeMarkBack(ctx, c, w.Key)
	}
	return err
}

// takeMarkBack is for a secret that somebody else made between our look and our
// mark: it is theirs.
func (s *Writer) takeMarkBack(ctx context.Context, c secret2, key string) error {
	now, err := s.look(ctx, c, key)
	if err != nil {
		return err
	}
	delete(now.custom, push.TagManaged)
	if err := s.describe(ctx, c, now.custom); err != nil {
		return err
	}
	return push.Foreign(key)
}

func (s *Writer) describe(ctx context.Context, c secret2, custom map[string]string) error {
	_, err := s.API.Call(ctx, http.MethodPost, c.metadata, map[string]any{"custom_metadata": custom})
	return err
}

// put writes the version after the one that was seen. errCrossed: there is one.
func (s *Writer) put(ctx context.Context, c secret2, key string, data redact.Secret) error {
	_, err := s.API.Call(ctx, http.MethodPost, c.path, map[string]any{
		"options": map[string]any{"cas": c.version}, "data": json.RawMessage(data.Reveal()),
	})
	if !errs.Is(err, errs.Invalid) {
		return err
	}
	about, readErr := s.API.Read(ctx, provider.Request{Key: key, Metadata: true})
	if readErr == nil && about.Version != c.version.String() {
		return errCrossed
	}
	return err
}

func (s *Writer) deleteV2(ctx context.Context, seen secret2, at provider.Place) error {
	c, err := s.look(ctx, seen, at.Key)
	if err != nil || c.absent || !c.managed() {
		return err
	}
	left := redact.Secret{}
	if at.Property != "" && !c.data.Empty() {
		if left, err = push.Without(c.data, at.Property); err != nil {
			return err
		}
	}
	switch {
	case left.Empty():
		_, err = s.API.Call(ctx, http.MethodDelete, c.metadata, nil)
		return err
	case left.Equal(c.data):
		return nil
	}
	return s.put(ctx, c, at.Key, left)
}

// merged returns the object to be stored where there is base.
func (s *Writer) merged(base redact.Secret, w provider.Write) (redact.Secret, error) {
	if w.Property == "" {
		return s.Canonical(objectOf(w.Value)), nil
	}
	data, err := push.With(base, w.Property, w.Value)
	if err != nil {
		return data, errs.Newf(errs.KindOf(err), "%q: %w", w.Key, err)
	}
	return s.Canonical(data.Reveal()), nil
}

// objectOf returns a value that is a JSON object; nil when it is none.
func objectOf(v redact.Secret) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(v.Reveal(), &object) != nil || object == nil {
		return nil
	}
	return json.RawMessage(v.Reveal())
}
