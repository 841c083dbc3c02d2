package store

import "sync/atomic"

// Memo remembers what an entry's bytes were decoded to. The cached decorator
// gives one to every entry it keeps, so that a token, a policy or a role is
// decoded once per revision and not once per request. The zero Memo is empty.
type Memo struct{ decoded atomic.Pointer[any] }

// WithMemo returns e carrying m. Only the cached decorator calls it.
func (e Entry) WithMemo(m *Memo) Entry { e.memo = m; return e }

// Decode returns decode(e.Value), remembered with the entry where it is cached.
// Callers must treat the result as immutable: others share it. All callers of
// Decode for one key must use an equivalent decode; one that asks for another T
// gets what it asks for, decoded anew each time. Errors are not remembered.
func Decode[T any](e Entry, decode func([]byte) (T, error)) (T, error) {
	if e.memo != nil {
		if p := e.memo.decoded.Load(); p != nil {
			if v, ok := (*p).(T); ok {
				return v, nil
			}
		}
	}
	v, err := decode(e.Value)
	if err == nil && e.memo != nil {
		boxed := any(v)
		e.memo.decoded.CompareAndSwap(nil, &boxed)
	}
	return v, err
}
