package template

import (
	"math"
	"reflect"
	"strings"
)

// cost estimates from above, before the call, what a function builds in memory
// whose result can be much larger than its arguments, or how much it works when
// that grows faster than they do. total is the size of the arguments; their
// positions are sprig's. 0 is for functions that need no estimate, and less than
// that an overflow.
func cost(name string, a []reflect.Value, total int) int {
	switch name {
	case "toYaml": // goes through JSON and a tree, slowly
		return times(total, 48)
	case "toPrettyJson", "mustToPrettyJson": // indented
		return times(total, 12)
	case "toJson", "mustToJson", "toRawJson", "mustToRawJson", "html", "js", "urlquery", "quote", "squote",
		"fromJson", "mustFromJson", "date", "dateInZone", "date_in_zone":
		return times(total, 6)
	case "uniq", "mustUniq", "without", "mustWithout": // each with each
		return times(count(a[0])+1, total) / 4
	case "split", "splitList", "splitn":
		return times(strings.Count(a[len(a)-1].String(), a[0].String())+1, 160)
	case "join":
		return times(count(a[1]), length(a[0])+1)
	case "printf":
		return formatted(a[0].String(), a[1])
	case "semver", "semverCompare": // they try one expression after the other
		return times(total, total)
	}
	return costOfText(name, a)
}

// costOfText is cost of the functions that repeat and pad.
func costOfText(name string, a []reflect.Value) int {
	switch name {
	case "repeat":
		return times(number(a[0]), length(a[1]))
	case "indent", "nindent":
		return padding(a)
	case "until":
		return elements(number(a[0]))
	case "untilStep":
		return stepped(number(a[0]), number(a[1]), number(a[2]))
	case "seq":
		return sequence(a[0])
	case "randAlphaNum", "randAlpha", "randAscii", "randNumeric": // a draw for every letter
		return times(number(a[0]), 64)
	case "randBytes":
		return times(number(a[0]), 2)
	case "replace":
		return times(strings.Count(a[2].String(), a[0].String()), length(a[1])) + length(a[2])
	case "wrapWith":
		return times(length(a[2])+1, length(a[1])+1)
	}
	return 0
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
		n, _ := size(args.Index(i), math.MaxInt32) // it was measured before
		largest = max(largest, n)
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
