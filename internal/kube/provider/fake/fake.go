package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the key under spec.provider.
const Name = "fake"

// Settings is the value of spec.provider.fake.
type Settings struct {
	Data []Entry `json:"data"`
	// ValidationResult 0 (also when absent) means the store is valid, 1 that
	// this is unknown, anything else that it is not.
	ValidationResult *int `json:"validationResult,omitempty"`
}

// Entry is one version of one secret.
type Entry struct {
	Key      string            `json:"key"`
	Value    string            `json:"value,omitempty"`
	ValueMap map[string]string `json:"valueMap,omitempty"` // older form of a JSON object value
	Version  string            `json:"version,omitempty"`
}

// Provider opens fake stores.
type Provider struct{}

// Open reads the settings. Two entries of the same key and version are Invalid.
func (Provider) Open(_ context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	st := &store{values: map[provider.Request]provider.Value{}, pushed: map[string]redact.Secret{}}
	if s.ValidationResult != nil {
		st.verdict = *s.ValidationResult
	}
	for i, e := range s.Data {
		if err := st.add(e); err != nil {
			return nil, errs.Newf(errs.Invalid, "spec.provider.fake.data[%d]: %w", i, err)
		}
	}
	return st, nil
}

var _ provider.Finder = (*store)(nil)

// store has the entries of one store object, so two stores of the same name in
// different namespaces never see each other's, and what was pushed to it.
type store struct {
	values  map[provider.Request]provider.Value // of the object; they stay as they are
	verdict int

	mu     sync.Mutex
	pushed map[string]redact.Secret
}

func (s *store) add(e Entry) error {
	if e.Key == "" {
		return errs.New(errs.Invalid, "key is missing")
	}
	value := []byte(e.Value)
	if e.ValueMap != nil {
		if e.Value != "" {
			return errs.Newf(errs.Invalid, "key %q has both value and valueMap", e.Key)
		}
		var err error
		if value, err = json.Marshal(e.ValueMap); err != nil {
			return errs.Newf(errs.Invalid, "encoding valueMap of %q: %w", e.Key, err)
		}
	}
	req := provider.Request{Key: e.Key, Version: e.Version}
	if _, twice := s.values[req]; twice {
		return errs.Newf(errs.Invalid, "key %q version %q is there twice", e.Key, e.Version)
	}
	s.values[req] = provider.Value{Data: redact.New(value), Version: e.Version}
	return nil
}

func (s *store) Check(context.Context) error {
	switch s.verdict {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("spec.provider.fake.validationResult is 1: %w", provider.ErrUnverifiable)
	}
	return errs.Newf(errs.Invalid, "spec.provider.fake.validationResult is %d: set it to 0 to make the store valid", s.verdict)
}

// Read without a version finds the entry without one, else the one whose
// version is the greatest: by number when both are numbers, else by text.
func (s *store) Read(_ context.Context, req provider.Request) (provider.Value, error) {
	if req.Metadata {
		return provider.Value{}, errs.New(errs.Unsupported, "provider fake has no metadata: remove metadataPolicy")
	}
	if v, ok := s.values[req]; ok {
		return v, nil
	}
	if v, ok := s.written(req.Key); ok && req.Version == "" {
		return v, nil
	}
	if req.Version != "" {
		return provider.Value{}, errs.Newf(errs.NotExist, "secret %q has no version %q", req.Key, req.Version)
	}
	var best provider.Value
	found := false
	for have, v := range s.values {
		if have.Key == req.Key && (!found || later(v.Version, best.Version)) {
			best, found = v, true
		}
	}
	if !found {
		return provider.Value{}, errs.Newf(errs.NotExist, "secret %q does not exist in the store", req.Key)
	}
	return best, nil
}

// Find searches the keys that begin with q.Path. Entries have no tags.
func (s *store) Find(ctx context.Context, q provider.Query) ([]provider.Found, error) {
	match, err := q.Matcher()
	if err != nil {
		return nil, err
	}
	if q.Tags != "" {
		return nil, errs.New(errs.Unsupported, "find.tags: provider fake has no tags: search by name")
	}
	keys := map[string]bool{}
	for have := range s.values {
		if strings.HasPrefix(have.Key, q.Path) && match(have.Key) {
			keys[have.Key] = true
		}
	}
	s.mu.Lock()
	for key := range s.pushed {
		if strings.HasPrefix(key, q.Path) && match(key) {
			keys[key] = true
		}
	}
	s.mu.Unlock()
	found := make([]provider.Found, 0, len(keys))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		v, err := s.Read(ctx, provider.Request{Key: key})
		if err != nil {
			return nil, err
		}
		found = append(found, provider.Found{Key: key, Value: &v})
	}
	return found, nil
}

func later(a, b string) bool {
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return m > n
	}
	return a > b
}

func (s *store) Close(context.Context) error { return nil }
