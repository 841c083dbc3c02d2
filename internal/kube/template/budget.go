package template

import (
	"io"
	"reflect"
	"time"
)

// budget is what a Run may still use.
type budget struct {
	limits   Limits
	now      func() time.Time
	deadline time.Time

	steps, produced, written int
}

// limitError says that a Run met a limit.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// step counts one function call, loop round or template call.
func (b *budget) step() error {
	b.steps++
	if b.steps > b.limits.Steps {
		return &limitError{"the template runs over its limit of steps: it loops too often"}
	}
	if !b.now().Before(b.deadline) {
		return &limitError{"the template takes longer than " + b.limits.Time.String()}
	}
	return nil
}

// allow refuses what would produce n bytes, before it is produced. n < 0 is an
// overflow.
func (b *budget) allow(n int) error {
	if n < 0 || n > b.limits.Produced-b.produced {
		return errProduced()
	}
	return nil
}

func errProduced() error {
	return &limitError{"the template builds too much data in memory"}
}

// charge counts what a function returned. Shared and cyclic values count each
// time they are met, which is what printing them would cost.
func (b *budget) charge(v reflect.Value) error {
	left := b.limits.Produced - b.produced
	before := left
	measure(v, 0, &left)
	b.produced += before - left
	if left < 0 {
		return errProduced()
	}
	return nil
}

// deepest is how deep a value may be nested: what prints values recurses, and a
// stack that overflows cannot be recovered from. A cyclic value is deeper.
const deepest = 1000

// measure takes the size of v off left and stops when that is below zero.
func measure(v reflect.Value, depth int, left *int) {
	const word = 16
	*left -= word
	if depth > deepest {
		*left = -1
	}
	if *left < 0 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		*left -= v.Len()
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			measure(v.Elem(), depth+1, left)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*left -= v.Len()
			return
		}
		for i := 0; i < v.Len() && *left >= 0; i++ {
			measure(v.Index(i), depth+1, left)
		}
	case reflect.Map:
		for it := v.MapRange(); *left >= 0 && it.Next(); {
			measure(it.Key(), depth+1, left)
			measure(it.Value(), depth+1, left)
		}
	}
}

// limitedWriter counts output over all templates of a Run.
type limitedWriter struct {
	w      io.Writer
	budget *budget
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	l.budget.written += len(p)
	if l.budget.written > l.budget.limits.Output {
		return 0, &limitError{"the template writes more than fits into a Secret"}
	}
	return l.w.Write(p)
}
