package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Source is one Secret, after the template.
type Source struct {
	Name string
	Data map[string]redact.Secret
	Type string
	// Labels and Annotations are those of the template.
	Labels, Annotations map[string]string
}

// origin is s as stores hear of it.
func (s Source) origin(key string) provider.Source {
	return provider.Source{Key: key, Type: s.Type, Labels: s.Labels, Annotations: s.Annotations}
}

// Input is what a plan is made of.
type Input struct {
	Spec    *v1alpha1.PushSecretSpec
	Sources []Source
	Stores  []v1.Store
	Limits  template.Limits
	Now     func() time.Time
}

// Entry is one value and where it goes.
type Entry struct {
	Store v1.Store
	Data  v1alpha1.PushSecretData // as the status has it
	Value redact.Secret
	// Source is what Value is of. Of several Secrets it is the first.
	Source provider.Source
	// Document is the text of what the metadata names beside the PushSecret.
	Document redact.Secret
	// Err is why there is no value. The place is asked for all the same: what is
	// there is not to be deleted.
	Err error

	field string // of the spec, for messages
}

// Inputs adds what e pushes to a digest's values, each by its place. No place has a NUL.
func (e *Entry) Inputs(to map[string]redact.Secret) {
	place := StoreName(e.Store) + " " + PlaceName(e.Data)
	to[place] = e.Value
	if !e.Document.Empty() {
		to[place+"\x00document"] = e.Document
	}
}

// StoreName is the store in status.syncedPushSecrets.
func StoreName(s v1.Store) string { return s.StoreKind() + "/" + s.GetName() }

// PlaceName is the place in status.syncedPushSecrets.
func PlaceName(d v1alpha1.PushSecretData) string {
	if d.Match.RemoteRef.Property != "" {
		return d.Match.RemoteRef.RemoteKey + "/" + d.Match.RemoteRef.Property
	}
	return d.Match.RemoteRef.RemoteKey
}

// PlaceOf is the place for a store, of a PushSecret of a namespace.
func PlaceOf(namespace string, d v1alpha1.PushSecretData) provider.Place {
	return provider.Place{Key: d.Match.RemoteRef.RemoteKey, Property: d.Match.RemoteRef.Property, For: namespace}
}

// Write returns what the store gets of a PushSecret of a namespace.
func (e Entry) Write(namespace string) provider.Write {
	w := provider.Write{Place: PlaceOf(namespace, e.Data), Value: e.Value, Source: e.Source, Document: e.Document}
	if e.Data.Metadata != nil {
		w.Metadata = e.Data.Metadata.Raw
	}
	return w
}

// Plan is what is to be in the stores.
type Plan struct {
	Entries []Entry
	// Problems are what belongs to no entry.
	Problems []error
	// Unsure: it is not known which places are asked for, so that none is to be
	// deleted for not being in Entries.
	Unsure bool
}

// Of makes a plan. It is pure but for the time that templates of rewrites take.
func Of(in Input) Plan {
	b := builder{Input: in, at: map[string]int{}}
	for i := range in.Spec.Data {
		b.data(i)
	}
	for i := range in.Spec.DataTo {
		b.dataTo(i)
	}
	if len(in.Spec.Data) == 0 && len(in.Spec.DataTo) == 0 {
		b.problem(errs.New(errs.Invalid, "spec has neither data nor dataTo: say what goes where"))
	}
	b.overlaps()
	return b.Plan
}

type builder struct {
	Input
	Plan
	at map[string]int // of Entries, by store and place
}

func (b *builder) problem(err error) {
	b.Problems = append(b.Problems, err)
	b.Unsure = true
}

// add adds an entry. Two for one place are refused, whichever they are.
func (b *builder) add(e Entry) {
	if e.Data.Match.RemoteRef.RemoteKey == "" {
		b.problem(errs.Newf(errs.Invalid, "%s: remoteKey is missing", e.field))
		return
	}
	name := StoreName(e.Store) + " " + PlaceName(e.Data)
	if i, twice := b.at[name]; twice {
		first := &b.Entries[i]
		first.Err = errs.Newf(errs.Invalid, "%s and %s both push to %q: choose another remoteKey for one", first.field, e.field, PlaceName(e.Data))
		return
	}
	b.at[name] = len(b.Entries)
	b.Entries = append(b.Entries, e)
}

func (b *builder) data(i int) {
	d := b.Spec.Data[i]
	field := fmt.Sprintf("data[%d]", i)
	value, from, err := b.value(d)
	if err != nil {
		err = errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	for _, s := range b.Stores {
		b.add(Entry{Store: s, Data: d, Value: value, Source: from, Err: err, field: field})
	}
}

// value returns what an entry of data pushes: one key of one Secret, or the whole.
func (b *builder) value(d v1alpha1.PushSecretData) (value redact.Secret, of provider.Source, err error) {
	from := ""
	for _, s := range b.Sources {
		keys, err := converted(s, d.ConversionStrategy)
		if err != nil {
			return value, of, err
		}
		one, ok := keys[d.Match.SecretKey]
		if d.Match.SecretKey == "" {
			ok = true
			if one, err = whole(s.Name, keys); err != nil {
				return value, of, err
			}
		}
		switch {
		case !ok:
			continue
		case from != "":
			return value, of, errs.Newf(errs.Conflict, "Secrets %q and %q are both selected for one place: make the selector narrower, or use dataTo", from, s.Name)
		}
		value, from, of = one, s.Name, s.origin(d.Match.SecretKey)
	}
	if from == "" {
		return value, of, errs.Newf(errs.NotExist, "%s no key %q: add it, or correct secretKey", has(b.Sources), d.Match.SecretKey)
	}
	return value, of, nil
}

func has(sources []Source) string {
	if len(sources) == 1 {
		return fmt.Sprintf("Secret %q has", sources[0].Name)
	}
	return "the selected Secrets have"
}

// whole returns keys as one JSON object of texts.
func whole(secret string, keys map[string]redact.Secret) (redact.Secret, error) {
	object := make(map[string]string, len(keys))
	for key, value := range keys {
		if !utf8.Valid(value.Reveal()) {
			return redact.Secret{}, errs.Newf(errs.Invalid, "key %q of Secret %q is not text, which a JSON object cannot hold: push it by itself, with secretKey", key, secret)
		}
		object[key] = value.RevealString()
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(object) != nil {
		return redact.Secret{}, errs.New(errs.Internal, "encoding a Secret as JSON")
	}
	return redact.New(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

func (b *builder) dataTo(i int) {
	d := &b.Spec.DataTo[i]
	field := fmt.Sprintf("dataTo[%d]", i)
	stores, err := b.chosen(d.StoreRef)
	if err != nil {
		b.problem(errs.Newf(errs.KindOf(err), "%s: %w", field, err))
		return
	}
	data := v1alpha1.PushSecretData{Metadata: d.Metadata, ConversionStrategy: d.ConversionStrategy}
	keys, err := b.matching(d)
	if d.RemoteKey != "" { // the place is known, whatever is wrong with the value
		data.Match.RemoteRef.RemoteKey = d.RemoteKey
		var value redact.Secret
		if err == nil {
			if len(keys) == 0 {
				return
			}
			value, err = whole(b.Sources[0].Name, keys)
		}
		for _, s := range stores {
			b.add(Entry{Store: s, Data: data, Value: value, Source: b.first(""), Err: inField(field, err), field: field})
		}
		return
	}
	if err == nil {
		err = b.each(d, keys, func(name, key string) {
			data.Match.SecretKey, data.Match.RemoteRef.RemoteKey = key, name
			for _, s := range stores {
				b.add(Entry{Store: s, Data: data, Value: keys[key], Source: b.first(key), field: field})
			}
		})
	}
	if err != nil {
		b.problem(inField(field, err))
	}
}

// first is the origin of what may be of all sources.
func (b *builder) first(key string) provider.Source {
	if len(b.Sources) == 0 {
		return provider.Source{}
	}
	return b.Sources[0].origin(key)
}

func inField(field string, err error) error {
	if err == nil {
		return nil
	}
	return errs.Newf(errs.KindOf(err), "%s: %w", field, err)
}

// each calls f with the name in the store of each key that no entry of data names.
func (b *builder) each(d *v1alpha1.PushSecretDataTo, keys map[string]redact.Secret, f func(name, key string)) error {
	names := map[string]redact.Secret{} // the keys themselves as values, to be found again
	for key := range keys {
		if !slices.ContainsFunc(b.Spec.Data, func(e v1alpha1.PushSecretData) bool { return e.Match.SecretKey == key }) {
			names[key] = redact.FromString(key)
		}
	}
	operations := make([]v1.Rewrite, len(d.Rewrite))
	for i, r := range d.Rewrite {
		operations[i] = v1.Rewrite{Regexp: r.Regexp, Transform: r.Transform}
	}
	names, err := rewrite.Apply(operations, names, rewrite.Options{Limits: b.Limits, Now: b.Now})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f(name, names[name].RevealString())
	}
	return nil
}

// chosen returns those of the stores that ref means.
func (b *builder) chosen(ref *v1alpha1.PushSecretStoreRef) ([]v1.Store, error) {
	if ref == nil {
		return nil, errs.New(errs.Invalid, "storeRef is missing: name one of secretStoreRefs")
	}
	selector := labels.Everything()
	if ref.LabelSelector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(ref.LabelSelector); err != nil {
			return nil, errs.Newf(errs.Invalid, "storeRef.labelSelector: %w", err)
		}
	}
	kind := ref.Kind
	if kind == "" {
		kind = v1.KindSecretStore
	}
	var out []v1.Store
	for _, s := range b.Stores {
		if s.StoreKind() == kind && (ref.Name == "" || s.GetName() == ref.Name) && selector.Matches(labels.Set(s.GetLabels())) {
			out = append(out, s)
		}
	}
	if len(out) == 0 && ref.Name != "" {
		return nil, errs.Newf(errs.Invalid, "storeRef: %s %q is not one of secretStoreRefs that can be used: add it there", kind, ref.Name)
	}
	return out, nil
}

// maxExpression bounds what a person may have compiled, in bytes.
const maxExpression = 4096

// matching returns the keys of all sources that d matches.
func (b *builder) matching(d *v1alpha1.PushSecretDataTo) (map[string]redact.Secret, error) {
	match := func(string) bool { return true }
	if d.Match != nil && d.Match.RegExp != "" {
		if len(d.Match.RegExp) > maxExpression {
			return nil, errs.Newf(errs.Invalid, "match.regexp has %d bytes: at most %d are allowed", len(d.Match.RegExp), maxExpression)
		}
		re, err := regexp.Compile(d.Match.RegExp)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "match.regexp %q: %w", d.Match.RegExp, err)
		}
		match = re.MatchString
	}
	out, from := map[string]redact.Secret{}, map[string]string{}
	for _, s := range b.Sources {
		keys, err := converted(s, d.ConversionStrategy)
		if err != nil {
			return nil, err
		}
		for key, value := range keys {
			if !match(key) {
				continue
			}
			if other, twice := from[key]; twice {
				return nil, errs.Newf(errs.Conflict, "Secrets %q and %q are both selected and both have the key %q: make the selector narrower", min(other, s.Name), max(other, s.Name), key)
			}
			out[key], from[key] = value, s.Name
		}
	}
	return out, nil
}

// overlaps refuses to write a secret as a whole and in parts.
func (b *builder) overlaps() {
	wholes := map[string]*Entry{}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Data.Match.RemoteRef.Property == "" {
			wholes[StoreName(e.Store)+" "+e.Data.Match.RemoteRef.RemoteKey] = e
		}
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		other := wholes[StoreName(e.Store)+" "+e.Data.Match.RemoteRef.RemoteKey]
		if e.Data.Match.RemoteRef.Property == "" || other == nil {
			continue
		}
		e.Err = errs.Newf(errs.Invalid, "%s pushes all of %q and %s a part of it: one would undo the other; name properties in both", other.field, e.Data.Match.RemoteRef.RemoteKey, e.field)
		if other.Err == nil {
			other.Err = e.Err
		}
	}
}

// converted returns the data of s with its keys as the strategy wants them.
func converted(s Source, strategy v1alpha1.ConversionStrategy) (map[string]redact.Secret, error) {
	switch strategy {
	case "", v1alpha1.ConversionNone:
		return s.Data, nil
	case v1alpha1.ConversionReverseUnicode:
	default:
		return nil, errs.Newf(errs.Invalid, "conversionStrategy %q is not one of None and ReverseUnicode", strategy)
	}
	out := make(map[string]redact.Secret, len(s.Data))
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		name := ReverseUnicode(key)
		if _, twice := out[name]; twice {
			return nil, errs.Newf(errs.Invalid, "two keys of Secret %q are both %q with conversionStrategy ReverseUnicode: rename one", s.Name, name)
		}
		out[name] = s.Data[key]
	}
	return out, nil
}

// ReverseUnicode turns each "_U", code point in hexadecimal digits, "_" of key
// into the character, as ExternalSecrets with conversionStrategy Unicode write it.
func ReverseUnicode(key string) string {
	var out strings.Builder
	for key != "" {
		i := strings.Index(key, "_U")
		if i < 0 {
			break
		}
		digits, _, ok := strings.Cut(key[i+2:], "_")
		r, valid := codePoint(digits)
		if !ok || !valid {
			out.WriteString(key[:i+2])
			key = key[i+2:]
			continue
		}
		out.WriteString(key[:i])
		out.WriteRune(r)
		key = key[i+2+len(digits)+1:]
	}
	out.WriteString(key)
	return out.String()
}

func codePoint(digits string) (rune, bool) {
	if len(digits) < 4 || len(digits) > 6 {
		return 0, false
	}
	var r rune
	for _, c := range digits {
		d := strings.IndexRune("0123456789abcdef", c|0x20)
		if d < 0 || c > 'f' {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, utf8.ValidRune(r)
}
