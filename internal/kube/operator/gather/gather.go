package gather

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Read reads one secret of the store that ref names.
type Read func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error)

// Result is what was gathered.
type Result struct {
	Data map[string]redact.Secret
	// Missing says which sources the store does not have, one text each. It is
	// empty with deletionPolicy Retain, where a missing source is an error.
	Missing []string
	// Versions of what was read, where the store names one. The metadata of a secret
	// has none: it is not the secret.
	Versions map[Want]string
	// Began is when the first of the reads began.
	Began time.Time
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
func Values(ctx context.Context, es *v1.ExternalSecret, read Read) (Result, error) {
	if err := Supported(&es.Spec); err != nil {
		return Result{}, err
	}
	answers, err := readAll(ctx, Wants(&es.Spec), read)
	if err != nil {
		return Result{}, err
	}
	g := gatherer{es: es, answers: answers, out: Result{Data: map[string]redact.Secret{}, Versions: map[Want]string{}}}
	g.note()
	for i := range es.Spec.DataFrom {
		if err := g.skipMissing(g.extract(&es.Spec.DataFrom[i])); err != nil {
			return Result{}, inField(err, "dataFrom[%d]", i)
		}
	}
	for i := range es.Spec.Data {
		if err := g.skipMissing(g.one(&es.Spec.Data[i])); err != nil {
			return Result{}, inField(err, "data %q", es.Spec.Data[i].SecretKey)
		}
	}
	return g.out, nil
}

// note fills in what is known of the answers beside their values.
func (g *gatherer) note() {
	for w, a := range g.answers {
		if a.err == nil && !w.Metadata && a.value.Version != "" {
			g.out.Versions[w] = a.value.Version
		}
		if began := a.value.Began; g.out.Began.IsZero() || began.Before(g.out.Began) {
			g.out.Began = began
		}
	}
}

func inField(err error, format string, arg any) error {
	return errs.Newf(errs.KindOf(err), "%s: %w", fmt.Sprintf(format, arg), err)
}

// Wants returns every secret that spec names, each once, in the order of spec.
func Wants(spec *v1.ExternalSecretSpec) []Want {
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
			add(Want{fromStore(spec, f), request(f.Extract)})
		}
	}
	for i := range spec.Data {
		d := &spec.Data[i]
		add(Want{dataStore(spec, d), request(&d.RemoteRef)})
	}
	return list
}

func request(r *v1.RemoteRef) provider.Request {
	return provider.Request{Key: r.Key, Version: r.Version, Metadata: r.MetadataPolicy == v1.MetadataFetch}
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
	answers map[Want]answer
	out     Result
}

// skipMissing turns a missing source into a note where the deletion policy says
// what happens without it.
func (g *gatherer) skipMissing(err error) error {
	policy := g.es.Spec.Target.DeletionPolicy
	if !errs.Is(err, errs.NotExist) || policy == "" || policy == v1.DeletionRetain {
		return err
	}
	g.out.Missing = append(g.out.Missing, err.Error())
	return nil
}

func (g *gatherer) one(d *v1.ExternalSecretData) error {
	a := g.answers[Want{dataStore(&g.es.Spec, d), request(&d.RemoteRef)}]
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
	g.out.Data[d.SecretKey] = value
	return nil
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

func (g *gatherer) extract(f *v1.ExternalSecretDataFrom) error {
	a := g.answers[Want{fromStore(&g.es.Spec, f), request(f.Extract)}]
	if a.err != nil {
		return a.err
	}
	value := a.value
	if p := f.Extract.Property; p != "" {
		part, err := value.Property(p)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "key %q: %w", f.Extract.Key, err)
		}
		value.Data = part
	}
	parts, err := value.Map()
	if err != nil {
		return errs.Newf(errs.KindOf(err), "key %q: %w; extract needs one", f.Extract.Key, err)
	}
	converted := make(map[string]string, len(parts))
	for key, part := range parts {
		name := ConvertKey(key, f.Extract.ConversionStrategy)
		if other, twice := converted[name]; twice {
			return errs.Newf(errs.Invalid, "keys %q and %q of %q both become %q: set conversionStrategy Unicode", min(key, other), max(key, other), f.Extract.Key, name)
		}
		converted[name] = key
		part, err := decode(part, f.Extract.DecodingStrategy)
		if err == nil {
			err = checkNull(part, f.Extract.NullBytePolicy)
		}
		if err != nil {
			return inField(err, "key %q", key)
		}
		g.out.Data[name] = part
	}
	return nil
}

func checkNull(v redact.Secret, policy v1.NullBytePolicy) error {
	if policy == v1.NullByteFail && bytes.IndexByte(v.Reveal(), 0) >= 0 {
		return errs.New(errs.Invalid, "the value holds a zero byte, which nullBytePolicy Fail forbids")
	}
	return nil
}
