package rewrite

import (
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Bounds of one list of operations.
const (
	maxOperations = 100
	maxKeys       = 10_000   // after each operation
	maxBytes      = 16 << 20 // of keys and values together, after each operation
	maxKey        = 4096     // bytes of one key, between operations
	maxTime       = 5 * time.Second
)

// Options bound the templates of transform. Now is the clock they run by.
type Options struct {
	Limits template.Limits
	Now    func() time.Time
}

// Apply applies operations in order, each to what the one before made. values
// stays as it is. Keys that two of them would share are Invalid and both named,
// where the External Secrets Operator keeps either by chance. A key that becomes
// empty is left out, which is how some are to be dropped.
func Apply(operations []v1.Rewrite, values map[string]redact.Secret, o Options) (map[string]redact.Secret, error) {
	if len(operations) > maxOperations {
		return nil, errs.Newf(errs.Invalid, "rewrite has %d operations: at most %d are allowed", len(operations), maxOperations)
	}
	out := maps.Clone(values)
	r := rewriter{o, o.Now().Add(maxTime)}
	for i := range operations {
		next, err := r.one(&operations[i], out)
		if err == nil {
			err = checkSize(next)
		}
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "rewrite[%d]%w", i, err)
		}
		out = next
	}
	return out, nil
}

// rewriter is one Apply under way.
type rewriter struct {
	Options
	deadline time.Time
}

// one applies one operation. Errors begin with what stands behind "rewrite[0]".
func (r rewriter) one(op *v1.Rewrite, values map[string]redact.Secret) (map[string]redact.Secret, error) {
	switch {
	case op.Regexp != nil && op.Transform == nil && op.Merge == nil:
		return r.replaced(op.Regexp, values)
	case op.Transform != nil && op.Regexp == nil && op.Merge == nil:
		return r.transformed(op.Transform, values)
	case op.Merge != nil && op.Regexp == nil && op.Transform == nil:
		return merged(op.Merge, values)
	}
	return nil, errs.New(errs.Invalid, ": name exactly one of regexp, transform and merge")
}

func checkSize(values map[string]redact.Secret) error {
	if len(values) > maxKeys {
		return errs.Newf(errs.TooLarge, ": it makes %d keys: at most %d are allowed", len(values), maxKeys)
	}
	total := 0
	for key, v := range values {
		if len(key) > maxKey {
			return errTooLong(key)
		}
		total += len(key) + v.Len()
	}
	if total > maxBytes {
		return errs.Newf(errs.TooLarge, ": it makes %d bytes: at most %d are allowed", total, maxBytes)
	}
	return nil
}

func errTooLong(key string) error {
	return errs.Newf(errs.TooLarge, ": the key made of %s is over %d bytes", show(key), maxKey)
}

// show quotes a key for a message, shortened.
func show(key string) string {
	const longest = 100
	if len(key) > longest {
		return fmt.Sprintf("%.*q…", longest, key)
	}
	return fmt.Sprintf("%q", key)
}

// renamed gives every value the key that name makes of its own.
func (r rewriter) renamed(values map[string]redact.Secret, name func(key string) (string, error)) (map[string]redact.Secret, error) {
	out := make(map[string]redact.Secret, len(values))
	from := make(map[string]string, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !r.Now().Before(r.deadline) {
			return nil, errs.Newf(errs.TooLarge, ": it takes longer than %v: use smaller expressions, or fewer keys", maxTime)
		}
		next, err := name(key)
		if err != nil {
			return nil, err
		}
		if next == "" {
			continue
		}
		if other, twice := from[next]; twice {
			return nil, errs.Newf(errs.Invalid, ": keys %s and %s both become %s", show(other), show(key), show(next))
		}
		from[next] = key
		out[next] = values[key]
	}
	return out, nil
}

// transformed makes keys by a template over ".value". All keys together have one
// budget.
func (r rewriter) transformed(op *v1.RewriteTransform, values map[string]redact.Secret) (map[string]redact.Secret, error) {
	run := template.NewRun(nil, r.Limits, r.Now)
	return r.renamed(values, func(key string) (string, error) {
		out, err := run.With(map[string]string{"value": key}).Text("transform", op.Template)
		if err != nil {
			return "", errs.Newf(errs.KindOf(err), " for key %s: %w", show(key), err)
		}
		if len(out) > maxKey {
			return "", errTooLong(key)
		}
		return string(out), nil
	})
}
