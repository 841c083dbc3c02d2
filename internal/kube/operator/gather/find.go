package gather

import (
	"context"
	"sync/atomic"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Find searches the store that ref names. began is when the search began.
type Find func(ctx context.Context, ref v1.SecretStoreRef, q provider.Query) (found []provider.Found, began time.Time, err error)

// Search is one search of one store.
type Search struct {
	Store v1.SecretStoreRef
	provider.Query
}

// Bounds of what one search may bring.
const (
	maxFound      = 10_000
	maxFoundBytes = 16 << 20 // of values, of which a Secret takes 1 MiB
)

// Searches returns every search of spec, each once, in the order of spec.
func Searches(spec *v1.ExternalSecretSpec) []Search {
	var list []Search
	seen := map[Search]bool{}
	for i := range spec.DataFrom {
		f := &spec.DataFrom[i]
		if f.Find == nil {
			continue
		}
		if s := search(spec, f); !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}

func search(spec *v1.ExternalSecretSpec, f *v1.ExternalSecretDataFrom) Search {
	s := Search{Store: fromStore(spec, f), Query: provider.Query{Tags: provider.TagsOf(f.Find.Tags)}}
	if f.Find.Path != nil {
		s.Path = *f.Find.Path
	}
	if f.Find.Name != nil {
		s.Name = f.Find.Name.RegExp
	}
	return s
}

// Stores returns every store that spec reads, each once, in the order of spec.
func Stores(spec *v1.ExternalSecretSpec) []v1.SecretStoreRef {
	var list []v1.SecretStoreRef
	seen := map[v1.SecretStoreRef]bool{}
	add := func(ref v1.SecretStoreRef) {
		if !seen[ref] {
			seen[ref] = true
			list = append(list, ref)
		}
	}
	for _, w := range Wants(spec) {
		add(w.Store)
	}
	for _, s := range Searches(spec) {
		add(s.Store)
	}
	return list
}

// find searches and reads what was found and came without its value. A secret
// that is gone by then, or whose latest version is deleted, is not there.
func (g *gatherer) find(ctx context.Context, f *v1.ExternalSecretDataFrom) (map[string]redact.Secret, error) {
	s := search(&g.es.Spec, f)
	found, began, err := g.source.Find(ctx, s.Store, s.Query)
	switch {
	case errs.Is(err, errs.NotExist): // a search that finds nothing is no error: this is not an answer to it
		return nil, errs.Newf(errs.Unavailable, "find: %w", err)
	case err != nil:
		return nil, errs.Newf(errs.KindOf(err), "find: %w", err)
	case len(found) > maxFound:
		return nil, errs.Newf(errs.TooLarge, "find: %d secrets match: at most %d are read; narrow find.path or find.name", len(found), maxFound)
	}
	g.startedAt(began)
	parts := make(map[string]redact.Secret, len(found))
	var wants []Want
	var total atomic.Int64
	for _, x := range found {
		w := Want{s.Store, provider.Request{Key: x.Key}}
		if x.Value == nil {
			wants = append(wants, w)
			continue
		}
		if err := addFound(&total, *x.Value); err != nil {
			return nil, err
		}
		g.version(w, *x.Value)
		if parts[x.Key], err = wholeOf(x.Key, *x.Value); err != nil {
			return nil, err
		}
	}
	answers, err := readAll(ctx, wants, func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error) {
		v, err := g.source.Read(ctx, ref, req)
		if err == nil {
			err = addFound(&total, v)
		}
		return v, err
	})
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "find: %w", err)
	}
	g.note(answers)
	if err := wholesOf(answers, parts); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errs.New(errs.NotExist, "find: the store has no secret that matches")
	}
	return parts, nil
}

// wholesOf adds those of answers that are there to parts.
func wholesOf(answers map[Want]answer, parts map[string]redact.Secret) (err error) {
	for w, a := range answers {
		if a.err != nil {
			continue
		}
		if parts[w.Key], err = wholeOf(w.Key, a.value); err != nil {
			return err
		}
	}
	return nil
}

// wholeOf returns a secret that was found as one value.
func wholeOf(key string, v provider.Value) (redact.Secret, error) {
	whole, err := v.Property("")
	if err != nil {
		return whole, errs.Newf(errs.KindOf(err), "find: key %q: %w", key, err)
	}
	return whole, nil
}

func addFound(total *atomic.Int64, v provider.Value) error {
	if total.Add(int64(v.Len())) > maxFoundBytes {
		return errs.Newf(errs.TooLarge, "what matches is over %d MiB together: narrow find.path or find.name", maxFoundBytes>>20)
	}
	return nil
}
