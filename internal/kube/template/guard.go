package template

import (
	"math"
	"reflect"
	"strings"
)

// guarded returns the functions in used, each wrapped so that it counts, is
// measured, and fails without words of its own.
func (b *budget) guarded(used map[string]bool) map[string]any {
	out := make(map[string]any, len(used)+1)
	out[tickName] = func() (string, error) { return "", b.step() }
	for name := range used {
		if f, ok := functions[name]; ok {
			out[name] = b.wrap(name, reflect.ValueOf(f))
		}
	}
	return out
}

func (b *budget) wrap(name string, f reflect.Value) any {
	t := f.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	failing := reflect.TypeFor[error]()
	wrapped := reflect.FuncOf(in, []reflect.Type{t.Out(0), failing}, t.IsVariadic())
	return reflect.MakeFunc(wrapped, func(args []reflect.Value) []reflect.Value {
		result, err := b.call(name, f, args)
		if err != nil {
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		return []reflect.Value{result, reflect.Zero(failing)}
	}).Interface()
}

func (b *budget) call(name string, f reflect.Value, args []reflect.Value) (result reflect.Value, err error) {
	if err := b.step(); err != nil {
		return result, err
	}
	if cost, ok := costs[name]; ok {
		if err := b.allow(cost(args)); err != nil {
			return result, err
		}
	}
	defer func() {
		if recover() != nil {
			err = &functionError{name: name}
		}
	}()
	call := f.Call
	if f.Type().IsVariadic() {
		call = f.CallSlice
	}
	out := call(args)
	if len(out) == 2 && !out[1].IsNil() {
		return result, withheld(name, out[1].Interface().(error))
	}
	return out[0], b.charge(out[0])
}

// costs estimates from above, before the call, what functions return whose
// result can be much larger than their arguments. The argument positions are
// sprig's.
var costs = map[string]func(args []reflect.Value) int{
	"repeat":  func(a []reflect.Value) int { return times(number(a[0]), length(a[1])) },
	"indent":  func(a []reflect.Value) int { return padding(a) },
	"nindent": func(a []reflect.Value) int { return padding(a) },
	"until":   func(a []reflect.Value) int { return elements(number(a[0])) },
	"untilStep": func(a []reflect.Value) int {
		return stepped(number(a[0]), number(a[1]), number(a[2]))
	},
	"seq":          func(a []reflect.Value) int { return sequence(a[0]) },
	"randAlphaNum": func(a []reflect.Value) int { return times(number(a[0]), 4) },
	"randAlpha":    func(a []reflect.Value) int { return times(number(a[0]), 4) },
	"randAscii":    func(a []reflect.Value) int { return times(number(a[0]), 4) },
	"randNumeric":  func(a []reflect.Value) int { return times(number(a[0]), 4) },
	"randBytes":    func(a []reflect.Value) int { return times(number(a[0]), 2) },
	"replace": func(a []reflect.Value) int {
		return times(strings.Count(a[2].String(), a[0].String()), length(a[1])) + length(a[2])
	},
	"join":                       func(a []reflect.Value) int { return times(count(a[1]), length(a[0])+1) },
	"wrapWith":                   func(a []reflect.Value) int { return times(length(a[2])+1, length(a[1])+1) },
	"regexReplaceAllLiteral":     func(a []reflect.Value) int { return times(length(a[1])+1, length(a[2])+1) },
	"mustRegexReplaceAllLiteral": func(a []reflect.Value) int { return times(length(a[1])+1, length(a[2])+1) },
	"printf":                     func(a []reflect.Value) int { return formatted(a[0].String(), a[1]) },
	"uniq":                       func(a []reflect.Value) int { return times(count(a[0]), count(a[0])) },
	"mustUniq":                   func(a []reflect.Value) int { return times(count(a[0]), count(a[0])) },
	"without":                    func(a []reflect.Value) int { return times(count(a[0]), count(a[1])) },
	"mustWithout":                func(a []reflect.Value) int { return times(count(a[0]), count(a[1])) },
}

func number(v reflect.Value) int {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	if v.CanInt() {
		return int(v.Int())
	}
	return 0
}

func length(v reflect.Value) int {
	if v.Kind() == reflect.String {
		return v.Len()
	}
	return 0
}

// count returns the number of elements of a list, also behind an interface.
func count(v reflect.Value) int {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return v.Len()
	}
	return 1
}

// times multiplies; an overflow is -1 and nothing below zero counts.
func times(a, b int) int {
	if a <= 0 || b <= 0 {
		return 0
	}
	if a > math.MaxInt/b {
		return -1
	}
	return a * b
}

// elements is the cost of a list of n numbers.
func elements(n int) int {
	if n < 0 {
		if n = -n; n < 0 {
			return -1
		}
	}
	return times(n, 64)
}

func padding(a []reflect.Value) int {
	return times(number(a[0]), strings.Count(a[1].String(), "\n")+1) + length(a[1])
}

func stepped(start, stop, step int) int {
	if step == 0 {
		return 0
	}
	span := float64(stop) - float64(start)
	n := math.Abs(span / float64(step))
	if n > 1e9 {
		return -1
	}
	return elements(int(n) + 1)
}

// sequence is the cost of seq: to, or from and to, or from, step and to.
func sequence(list reflect.Value) int {
	switch list.Len() {
	case 1:
		return elements(number(list.Index(0)))
	case 2:
		return stepped(number(list.Index(0)), number(list.Index(1)), 1)
	case 3:
		return stepped(number(list.Index(0)), number(list.Index(2)), number(list.Index(1)))
	}
	return 0
}

// formatted bounds the result of printf: every verb may print the largest
// argument, and a width or precision up to fmt's own limit of a million.
func formatted(format string, args reflect.Value) int {
	largest := 0
	for i := range args.Len() {
		left := math.MaxInt32
		measure(args.Index(i), 0, &left)
		largest = max(largest, math.MaxInt32-left)
	}
	digits, wide := 0, 0
	for _, c := range format {
		if c >= '0' && c <= '9' {
			digits++
		} else {
			digits = 0
		}
		if c == '*' || digits == 4 {
			wide += 1_000_000
		}
	}
	return times(strings.Count(format, "%"), 4*largest+16) + wide + len(format)
}
