package gather

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Read reads one secret of the store that ref names.
type Read func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error)

// Generate returns what the generator of dataFrom[i] gives.
type Generate func(ctx context.Context, i int) (Generated, error)

// Generated is what a generator gives.
type Generated struct {
	Values map[string]redact.Secret
	// Final says that these are the keys and values behind rewrite already.
	Final bool
}

// Source is where values come from, and what bounds the templates of rewrite.
type Source struct {
	Read Read
	Find Find
	// Picks reports whether a store is to be told which property is wanted, and is
	// asked for each by itself; nil: none is.
	Picks    func(ctx context.Context, ref v1.SecretStoreRef) bool
	Generate Generate
	Limits   template.Limits
	Now      func() time.Time
}

// Result is what was gathered.
type Result struct {
	Data map[string]redact.Secret
	// Missing says which sources the store does not have, one text each. With
	// deletionPolicy Retain a missing source is an error, but for a search that
	// found nothing beside others that gave something.
	Missing []string
	// Versions of what was read, where the store names one. The metadata of a secret
	// has none: it is not the secret.
	Versions map[Want]string
	// Began is when the first of the reads began; the time of gathering when there
	// are none.
	Began time.Time
	// Generated has the keys that a generator gave, with the index of its dataFrom,
	// and Made their values as they were given.
	Generated map[string]int
	Made      map[string]redact.Secret
}

// Want is one secret of one store.
type Want struct {
	Store v1.SecretStoreRef
	provider.Request
}

// parallel bounds the reads of one object under way at the same time.
const parallel = 8

// Values gathers everything es asks for: dataFrom in order, later entries over
// earlier ones, then data over that.
func Values(ctx context.Context, es *v1.ExternalSecret, source Source) (Result, error) {
	if err := Supported(&es.Spec); err != nil {
		return Result{}, err
	}
	picks := source.picks(ctx)
	answers, err := readAll(ctx, wants(&es.Spec, picks), source.Read)
	if err != nil {
		return Result{}, err
	}
	g := gatherer{es: es, source: source, picks: picks, answers: answers, out: Result{
		Data: map[string]redact.Secret{}, Versions: map[Want]string{}, Generated: map[string]int{}, Made: map[string]redact.Secret{},
	}}
	g.note(answers)
	for i := range es.Spec.DataFrom {
		f := &es.Spec.DataFrom[i]
		if err := g.skipMissing(inField(g.from(ctx, i), "dataFrom[%d]", i), f.Find != nil); err != nil {
			return Result{}, err
		}
	}
	for i := range es.Spec.Data {
		d := &es.Spec.Data[i]
		if err := g.skipMissing(inField(g.one(d), "data %q", d.SecretKey), false); err != nil {
			return Result{}, err
		}
	}
	if g.retains() && len(g.out.Data) == 0 && len(g.out.Missing) > 0 {
		return Result{}, errs.Newf(errs.NotExist, "%s; the %s is left as it is (deletionPolicy Retain)", strings.Join(g.out.Missing, "; "), kindOf(&es.Spec))
	}
	return g.out, nil
}

// note fills in what is known of answers beside their values.
func (g *gatherer) note(answers map[Want]answer) {
	for w, a := range answers {
		if a.err == nil {
			g.version(w, a.value)
		}
		g.startedAt(a.value.Began)
	}
	if len(answers) == 0 && len(Searches(&g.es.Spec)) == 0 && g.source.Now != nil {
		g.startedAt(g.source.Now())
	}
}

func (g *gatherer) version(w Want, v provider.Value) {
	w.Property = ""
	if !w.Metadata && v.Version != "" {
		g.out.Versions[w] = v.Version
	}
}

func (g *gatherer) startedAt(began time.Time) {
	if g.out.Began.IsZero() || began.Before(g.out.Began) {
		g.out.Began = began
	}
}

func inField(err error, format string, arg any) error {
	if err == nil {
		return nil
	}
	return errs.Newf(errs.KindOf(err), "%s: %w", fmt.Sprintf(format, arg), err)
}

// picks returns Picks, asked once for each store.
func (s Source) picks(ctx context.Context) func(v1.SecretStoreRef) bool {
	if s.Picks == nil {
		return none
	}
	known := map[v1.SecretStoreRef]bool{}
	return func(ref v1.SecretStoreRef) bool {
		picks, ok := known[ref]
		if !ok {
			picks = s.Picks(ctx, ref)
			known[ref] = picks
		}
		return picks
	}
}

func none(v1.SecretStoreRef) bool { return false }

// Wants returns every secret that spec names, each once, in the order of spec.
func Wants(spec *v1.ExternalSecretSpec) []Want { return wants(spec, none) }

// wants is Wants with the property, in stores that are told it.
func wants(spec *v1.ExternalSecretSpec, picks func(v1.SecretStoreRef) bool) []Want {
	var list []Want
	seen := map[Want]bool{}
	add := func(w Want) {
		if !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	for i := range spec.DataFrom {
		if f := &spec.DataFrom[i]; f.Extract != nil {
			add(want(fromStore(spec, f), f.Extract, picks))
		}
	}
	for i := range spec.Data {
		d := &spec.Data[i]
		add(want(dataStore(spec, d), &d.RemoteRef, picks))
	}
	return list
}

func want(ref v1.SecretStoreRef, r *v1.RemoteRef, picks func(v1.SecretStoreRef) bool) Want {
	w := Want{ref, provider.Request{Key: r.Key, Version: r.Version, Metadata: r.MetadataPolicy == v1.MetadataFetch}}
	if picks(ref) {
		w.Property = r.Property
	}
	return w
}

func dataStore(spec *v1.ExternalSecretSpec, d *v1.ExternalSecretData) v1.SecretStoreRef {
	if d.SourceRef != nil && d.SourceRef.SecretStoreRef != nil {
		return *d.SourceRef.SecretStoreRef
	}
	return spec.SecretStoreRef
}

func fromStore(spec *v1.ExternalSecretSpec, f *v1.ExternalSecretDataFrom) v1.SecretStoreRef {
	if f.SourceRef != nil && f.SourceRef.SecretStoreRef != nil {
		return *f.SourceRef.SecretStoreRef
	}
	return spec.SecretStoreRef
}

// answer is what reading one Want gave.
type answer struct {
	value provider.Value
	err   error // NotExist only
}

// readAll reads every want. NotExist is an answer; any other error ends it.
func readAll(ctx context.Context, wants []Want, read Read) (map[Want]answer, error) {
	answers := make([]answer, len(wants))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, w := range wants {
		group.Go(func() error {
			v, err := read(ctx, w.Store, w.Request)
			if err != nil && !errs.Is(err, errs.NotExist) {
				return errs.Newf(errs.KindOf(err), "key %q: %w", w.Key, err)
			}
			answers[i] = answer{v, err}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := make(map[Want]answer, len(wants))
	for i, w := range wants {
		out[w] = answers[i]
	}
	return out, nil
}

type gatherer struct {
	es      *v1.ExternalSecret
	source  Source
	picks   func(v1.SecretStoreRef) bool
	answers map[Want]answer
	out     Result
}

func (g *gatherer) retains() bool {
	policy := g.es.Spec.Target.DeletionPolicy
	return policy == "" || policy == v1.DeletionRetain
}

// skipMissing turns a missing source into a note where the deletion policy says
// what happens without it, and where there may be others, as with a search.
func (g *gatherer) skipMissing(err error, others bool) error {
	if !errs.Is(err, errs.NotExist) || g.retains() && !others {
		return err
	}
	g.out.Missing = append(g.out.Missing, err.Error())
	return nil
}

func (g *gatherer) one(d *v1.ExternalSecretData) error {
	a := g.answers[want(dataStore(&g.es.Spec, d), &d.RemoteRef, g.picks)]
	if a.err != nil {
		return a.err
	}
	value, err := a.value.Property(d.RemoteRef.Property)
	if err != nil {
		return errs.Newf(g.propertyKind(err), "key %q: %w", d.RemoteRef.Key, err)
	}
	value, err = decode(value, d.RemoteRef.DecodingStrategy)
	if err == nil {
		err = checkNull(value, d.RemoteRef.NullBytePolicy)
	}
	if err != nil {
		return err
	}
	g.set(d.SecretKey, value)
	return nil
}

// set sets a key that no generator gave.
func (g *gatherer) set(key string, value redact.Secret) {
	g.out.Data[key] = value
	delete(g.out.Generated, key)
	delete(g.out.Made, key)
}

// propertyKind is the kind of a property that could not be read. The secret is
// there: a property it lacks is a mistake in a name, and must not make
// deletionPolicy Delete remove what pods run on.
func (g *gatherer) propertyKind(err error) errs.Kind {
	kind := errs.KindOf(err)
	if kind == errs.NotExist && g.es.Spec.Target.DeletionPolicy == v1.DeletionDelete {
		return errs.Invalid
	}
	return kind
}

// from adds the keys of one dataFrom entry.
func (g *gatherer) from(ctx context.Context, i int) error {
	f := &g.es.Spec.DataFrom[i]
	if f.SourceRef != nil && f.SourceRef.GeneratorRef != nil {
		return g.generate(ctx, i)
	}
	if f.Find != nil {
		parts, err := g.find(ctx, f)
		if err != nil {
			return err
		}
		return g.add(parts, f.Rewrite, shape{"", f.Find.ConversionStrategy, f.Find.DecodingStrategy, f.Find.NullBytePolicy})
	}
	parts, err := g.extract(f)
	if err != nil {
		return err
	}
	return g.add(parts, f.Rewrite, shape{fmt.Sprintf(" of %q", f.Extract.Key), f.Extract.ConversionStrategy, f.Extract.DecodingStrategy, f.Extract.NullBytePolicy})
}

// extract returns the keys of one secret.
func (g *gatherer) extract(f *v1.ExternalSecretDataFrom) (map[string]redact.Secret, error) {
	a := g.answers[want(fromStore(&g.es.Spec, f), f.Extract, g.picks)]
	if a.err != nil {
		return nil, a.err
	}
	value := a.value
	if p := f.Extract.Property; p != "" {
		part, err := value.Property(p)
		if err != nil {
			return nil, errs.Newf(g.propertyKind(err), "key %q: %w", f.Extract.Key, err)
		}
		value = provider.Value{Data: part}
	}
	parts, err := value.Map()
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "key %q: %w; extract needs one", f.Extract.Key, err)
	}
	return parts, nil
}

// shape says how values that were read become keys of a Secret.
type shape struct {
	of         string // for messages: of what they are the keys
	conversion v1.ConversionStrategy
	decoding   v1.DecodingStrategy
	null       v1.NullBytePolicy
}

// add gives parts their keys, by rewrite where there is one and else by the
// conversion strategy, decodes them, and adds them to what is gathered.
func (g *gatherer) add(parts map[string]redact.Secret, operations []v1.Rewrite, s shape) error {
	var err error
	if len(operations) > 0 {
		if parts, err = rewrite.Apply(operations, parts, rewrite.Options{Limits: g.source.Limits, Now: g.source.Now}); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			if !ValidKey(key) {
				return errs.Newf(errs.Invalid, "rewrite makes %.300q, which cannot be a key of a Secret: %s; rewrite once more", key, validKeys)
			}
		}
	} else if parts, err = convert(parts, s); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		part, err := decode(parts[key], s.decoding)
		if err == nil {
			err = checkNull(part, s.null)
		}
		if err != nil {
			return inField(err, "key %q", key)
		}
		g.set(key, part)
	}
	return nil
}

// generate adds what a generator gives.
func (g *gatherer) generate(ctx context.Context, i int) error {
	if g.source.Generate == nil {
		return errs.New(errs.Unsupported, "what a generator makes cannot be had here: it is made for one Secret")
	}
	made, err := g.source.Generate(ctx, i)
	if err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(made.Values))
	if made.Final {
		for key, value := range made.Values {
			g.set(key, value)
		}
	} else {
		before := g.out.Data
		g.out.Data = map[string]redact.Secret{}
		err := g.add(made.Values, g.es.Spec.DataFrom[i].Rewrite, shape{of: " of the generator"})
		added := g.out.Data
		g.out.Data = before
		if err != nil {
			return err
		}
		keys = slices.Collect(maps.Keys(added))
		maps.Copy(g.out.Data, added)
	}
	for _, key := range keys {
		g.out.Generated[key], g.out.Made[key] = i, g.out.Data[key]
	}
	return nil
}

func convert(parts map[string]redact.Secret, s shape) (map[string]redact.Secret, error) {
	out := make(map[string]redact.Secret, len(parts))
	from := make(map[string]string, len(parts))
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		name := ConvertKey(key, s.conversion)
		if other, twice := from[name]; twice {
			advice := "set conversionStrategy Unicode"
			if s.conversion == v1.ConversionUnicode {
				advice = "use rewrite"
			}
			return nil, errs.Newf(errs.Invalid, "keys %q and %q%s both become %q: %s", other, key, s.of, name, advice)
		}
		from[name] = key
		out[name] = parts[key]
	}
	return out, nil
}

func checkNull(v redact.Secret, policy v1.NullBytePolicy) error {
	if policy == v1.NullByteFail && bytes.IndexByte(v.Reveal(), 0) >= 0 {
		return errs.New(errs.Invalid, "the value holds a zero byte, which nullBytePolicy Fail forbids")
	}
	return nil
}
