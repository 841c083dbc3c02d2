package template

import "reflect"

// wrap returns f so that it counts, is measured, and fails without words of its
// own.
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
	defer func() {
		if recover() != nil {
			err = &functionError{name: name}
		}
	}()
	if err := b.before(name, args); err != nil {
		return result, err
	}
	call := f.Call
	if f.Type().IsVariadic() {
		call = f.CallSlice
	}
	out := call(args)
	if len(out) == 2 && !out[1].IsNil() {
		return result, withheld(name, out[1].Interface().(error))
	}
	if shallow(name) {
		return out[0], b.chargeTop(out[0])
	}
	return out[0], b.charge(out[0])
}

// before counts a call and what it will read, and refuses it when it would do
// too much.
func (b *budget) before(name string, args []reflect.Value) error {
	if err := b.step(1); err != nil {
		return err
	}
	if name == "dict" { // it prints its keys
		for i := 0; i < args[0].Len(); i += 2 {
			if _, err := b.consume([]reflect.Value{args[0].Index(i)}); err != nil {
				return err
			}
		}
	}
	if shallow(name) {
		return nil
	}
	total, err := b.consume(args)
	if err != nil {
		return err
	}
	if n := cost(name, args, total); n != 0 {
		return b.allow(n)
	}
	return nil
}

// shallow is true for functions that look at their arguments without what those
// refer to, and return one of them or a new list or map of them.
func shallow(name string) bool {
	switch name {
	case "dict", "list", "tuple", "set", "unset", "get", "hasKey", "first", "last", "default", "coalesce", "ternary",
		"append", "push", "prepend", "rest", "initial", "keys", "kindOf", "typeOf", "empty":
		return true
	}
	return false
}

// chargeTop counts what a shallow function returned: the list or map itself. That
// of set is the one it was given, and counts as a word.
func (b *budget) chargeTop(v reflect.Value) error {
	n := word
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice {
		n += v.Len() * word
	}
	err := b.allow(n)
	b.produced += n
	return err
}

// spend counts what takes long whatever its arguments are, in units.
func (b *budget) spend(units int) error {
	if b.keys += units; b.keys > b.limits.Keys {
		return &limitError{"the template makes too many keys and password hashes: make them once, outside of the template"}
	}
	return nil
}

// labour runs what makes keys or hashes passwords, for so many units. Its time
// does not count.
func labour[T any](b *budget, units int, work func() T) (out T, err error) {
	if err := b.spend(units); err != nil {
		return out, err
	}
	began := b.now()
	defer func() { b.deadline = b.deadline.Add(max(0, b.now().Sub(began))) }()
	return work(), nil
}
