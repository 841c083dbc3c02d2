package template

import (
	"io"
	"reflect"
	"strconv"
	"time"
)

// budget is what a Run may still use.
type budget struct {
	limits   Limits
	now      func() time.Time
	deadline time.Time

	steps, produced, read, written, keys int

	calls []string // the templates being executed, outermost first
}

// limitError says that a Run met a limit.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// step counts n parts of a template that are about to be executed.
func (b *budget) step(n int) error {
	b.steps += n
	if b.steps > b.limits.Steps {
		return &limitError{"the template runs over its limit of steps: it loops too often"}
	}
	return b.late()
}

func (b *budget) late() error {
	if !b.now().Before(b.deadline) {
		return &limitError{"the template takes longer than " + b.limits.Time.String()}
	}
	return nil
}

// deepestCall is how deep templates may call each other. Each level is a few
// frames on the stack of the interpreter.
const deepestCall = 100

// enter counts a template that is called; leave that it returned. Nothing leaves
// a template early except an error, which ends the Run.
func (b *budget) enter(name string) error {
	if len(b.calls) < deepestCall {
		b.calls = append(b.calls, name)
		return nil
	}
	limit := strconv.Itoa(deepestCall)
	for _, outer := range b.calls {
		if outer == name {
			return &limitError{"this template calls itself, directly or through another, more than " + limit + " deep"}
		}
	}
	return &limitError{"templates call each other more than " + limit + " deep"}
}

func (b *budget) leave() { b.calls = b.calls[:len(b.calls)-1] }

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

// charge counts what a function returned. Shared values count each time they are
// met, which is what printing them would cost.
func (b *budget) charge(v reflect.Value) error {
	n, err := size(v, b.limits.Produced-b.produced)
	b.produced += n
	return err
}

// overread is how many times what a Run may produce it may read.
const overread = 4

// consume counts what functions are about to read.
func (b *budget) consume(args []reflect.Value) (total int, err error) {
	for _, arg := range args {
		n, err := size(arg, overread*b.limits.Produced-b.read)
		if err != nil {
			return 0, err
		}
		total += n
		b.read += n
	}
	return total, nil
}

// deepest is how deep a value may be nested: what prints values recurses, and a
// stack that overflows cannot be recovered from. A cyclic value is deeper.
const deepest = 100

// word is what every value counts beside its bytes.
const word = 16

// size returns the bytes of v with all it refers to, or an error when they are
// more than most or nested too deep.
func size(v reflect.Value, most int) (int, error) {
	left := most
	if !measure(v, 0, &left) {
		return most - left, &limitError{"a value is nested more than " + strconv.Itoa(deepest) + " deep, or contains itself"}
	}
	if left < 0 {
		return most, errProduced()
	}
	return most - left, nil
}

// measure takes the size of v off left and stops when that is below zero. It is
// false for a value that is nested too deep.
func measure(v reflect.Value, depth int, left *int) bool {
	if *left -= word; *left < 0 {
		return true
	}
	if depth > deepest {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		*left -= v.Len()
	case reflect.Interface: // one level with what is in it
		return v.IsNil() || measure(v.Elem(), depth, left)
	case reflect.Pointer:
		return v.IsNil() || measure(v.Elem(), depth+1, left)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*left -= v.Len()
			break
		}
		return measureElements(v.Len(), v.Index, depth+1, left)
	case reflect.Struct: // of sprig: times, versions and certificates
		return measureElements(v.NumField(), v.Field, depth+1, left)
	case reflect.Map:
		return measureEntries(v, depth+1, left)
	}
	return true
}

func measureEntries(v reflect.Value, depth int, left *int) bool {
	for it := v.MapRange(); *left >= 0 && it.Next(); {
		if !measure(it.Key(), depth, left) || !measure(it.Value(), depth, left) {
			return false
		}
	}
	return true
}

func measureElements(n int, element func(int) reflect.Value, depth int, left *int) bool {
	for i := 0; i < n && *left >= 0; i++ {
		if !measure(element(i), depth, left) {
			return false
		}
	}
	return true
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
