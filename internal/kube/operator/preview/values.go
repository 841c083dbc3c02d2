package preview

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Values are what stands in for a store: values by key. One that was an object is
// JSON.
type Values map[string]redact.Secret

// ParseValues reads a YAML or JSON object of keys to texts, numbers, booleans or
// objects. Errors name a key and never quote a value.
func ParseValues(text []byte) (Values, error) {
	raw, err := template.YAMLToJSON(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, "this is not YAML, or larger than 1 MiB")
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil || all == nil {
		return nil, errs.New(errs.Invalid, "this is not an object of keys and values, such as: my-app/config: {password: x}")
	}
	values := make(Values, len(all))
	for key, value := range all {
		var text string
		switch {
		case key == "":
			return nil, errs.New(errs.Invalid, "a key is empty")
		case string(value) == "null":
			return nil, errs.Newf(errs.Invalid, "key %q has no value: write \"\" for an empty one", key)
		case json.Unmarshal(value, &text) == nil:
			values[key] = redact.FromString(text)
		default:
			values[key] = redact.New(value)
		}
	}
	return values, nil
}

// Substitutes are what stands in for stores and generators.
type Substitutes struct {
	All    Values            // for every store that has none of its own; nil: none
	Stores map[string]Values // by the name of a store
}

// Substitute puts values in the place of the stores that the ExternalSecrets name:
// such a store, known or not, is read from its values, whatever its provider is.
// Versions are not told apart. Its conditions go on to hold.
func (m *Manifests) Substitute(s Substitutes) error {
	used := map[string]bool{}
	for _, at := range m.ExternalSecrets {
		for _, ref := range gather.Stores(&at.Spec) {
			values, own := s.Stores[ref.Name]
			used[ref.Name] = used[ref.Name] || own
			if !own {
				values = s.All
			}
			if values == nil {
				continue
			}
			if err := m.replace(v1.KeyFor(ref, at.Namespace), values); err != nil {
				return at.Wrong(err)
			}
		}
	}
	for _, store := range slices.Sorted(maps.Keys(s.Stores)) {
		if !used[store] {
			return errs.Newf(errs.Invalid, "-values %s=: no ExternalSecret of these files reads a store %q", store, store)
		}
	}
	return nil
}

func (m *Manifests) replace(key v1.StoreKey, values Values) error {
	settings := fake.Settings{Data: m.entries(values)}
	p, err := v1.NewProvider(fake.Name, settings)
	if err != nil {
		return err
	}
	at := name{key.Kind, key.Namespace, key.Name}
	store, ok := m.objects[at].(v1.Store)
	if !ok {
		meta := metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}
		store = &v1.SecretStore{ObjectMeta: meta}
		if key.Kind == v1.KindClusterSecretStore {
			store = &v1.ClusterSecretStore{ObjectMeta: meta}
		}
	}
	store.StoreSpec().Provider = p
	m.objects[at] = store
	return nil
}

// entries has each value under every version that is asked for, and without one.
func (m *Manifests) entries(values Values) []fake.Entry {
	versions := map[string]map[string]bool{}
	for _, at := range m.ExternalSecrets {
		for _, w := range gather.Wants(&at.Spec) {
			if versions[w.Key] == nil {
				versions[w.Key] = map[string]bool{}
			}
			versions[w.Key][w.Version] = true
		}
	}
	var entries []fake.Entry
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text := values[key].RevealString()
		entries = append(entries, fake.Entry{Key: key, Value: text})
		for _, version := range slices.Sorted(maps.Keys(versions[key])) {
			if version != "" {
				entries = append(entries, fake.Entry{Key: key, Value: text, Version: version})
			}
		}
	}
	return entries
}

// ParseGenerator reads KIND/NAME as it names a generator in -values; false: it is
// the name of a store.
func ParseGenerator(given string) (key GeneratorKey, ok bool, err error) {
	kind, named, ok := strings.Cut(given, "/")
	if !ok {
		return key, false, nil
	}
	if _, known := generators.New()[kind]; !known && kind != generators.KindClusterGenerator || named == "" {
		return key, false, errs.Newf(errs.Invalid, "%q names no generator: the form is KIND/NAME, such as Password/app", given)
	}
	return GeneratorKey{kind, named}, true, nil
}

// Complete is an error for the first store that an ExternalSecret names and no file
// has, for who has nothing but the files.
func (m *Manifests) Complete() error {
	for _, at := range m.ExternalSecrets {
		for _, ref := range gather.Stores(&at.Spec) {
			key := v1.KeyFor(ref, at.Namespace)
			if _, ok := m.objects[name{key.Kind, key.Namespace, key.Name}]; !ok && key.Name != "" {
				return at.Wrong(errs.Newf(errs.Invalid, "%s is in none of the files: add it, give its values with -values %s=FILE, or ask the cluster with -live", key, key.Name))
			}
		}
	}
	return nil
}
