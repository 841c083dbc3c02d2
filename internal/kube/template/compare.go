package template

import (
	"cmp"
	"reflect"
)

// text/template's comparisons print both values into their errors, which a
// cyclic one does not survive. These are the same for what can be compared.

func incomparable() error { return fail("these two values cannot be compared") }

// basic returns v as a bool, int64, uint64, float64, complex128 or string, nil
// for nil, and false for anything else.
func basic(x any) (any, bool) {
	v := reflect.ValueOf(x)
	switch {
	case !v.IsValid():
		return nil, true
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return v.Uint(), true
	case v.CanFloat():
		return v.Float(), true
	case v.CanComplex():
		return v.Complex(), true
	case v.Kind() == reflect.Bool:
		return v.Bool(), true
	case v.Kind() == reflect.String:
		return v.String(), true
	}
	return nil, false
}

// equal is true when x equals one of others. nil equals nil.
func equal(x any, others ...any) (bool, error) {
	if len(others) == 0 {
		return false, fail("eq: there is only one value")
	}
	for _, y := range others {
		same, err := equalPair(x, y)
		if same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func equalPair(x, y any) (bool, error) {
	if empty := isNil(x); empty || isNil(y) {
		return empty == isNil(y), nil
	}
	a, aOK := basic(x)
	b, bOK := basic(y)
	if !aOK || !bOK {
		if tx, ty := reflect.TypeOf(x), reflect.TypeOf(y); tx == ty && tx.Comparable() && tx.Kind() != reflect.Array && tx.Kind() != reflect.Interface {
			return x == y, nil
		}
		return false, incomparable()
	}
	if reflect.TypeOf(a) == reflect.TypeOf(b) {
		return a == b, nil
	}
	n, err := compareInts(a, b)
	return n == 0, err
}

func isNil(x any) bool {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
		return v.IsNil()
	}
	return false
}

// compare is negative when x is less than y.
func compare(x, y any) (int, error) {
	a, _ := basic(x)
	b, _ := basic(y)
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return cmp.Compare(a, b), nil
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b), nil
		}
	case int64, uint64:
		return compareInts(a, b)
	}
	return 0, incomparable()
}

// compareInts compares an int64 or uint64 with one.
func compareInts(a, b any) (int, error) {
	switch a := a.(type) {
	case int64:
		switch b := b.(type) {
		case int64:
			return cmp.Compare(a, b), nil
		case uint64:
			if a < 0 {
				return -1, nil
			}
			return cmp.Compare(uint64(a), b), nil
		}
	case uint64:
		switch b := b.(type) {
		case uint64:
			return cmp.Compare(a, b), nil
		case int64:
			n, err := compareInts(b, a)
			return -n, err
		}
	}
	return 0, incomparable()
}
