package store

import "sync/atomic"

// Memo remembers what an entry's bytes were decoded to. The cached decorator
// gives one to every entry it keeps, so that a token, a policy or a role is
// decoded once per revision and not once per request.
type Memo struct{ value atomic.Value }

// WithMemo returns e carrying m. Only the cached decorator calls it.
func (e Entry) WithMemo(m *Memo) Entry { e.memo = m; return e }

// Decode returns decode(e.Value), remembered with the entry where it is cached.
// Callers must treat the result as immutable: others share it. All callers of
// Decode for one key must use the same T and an equivalent decode.
func Decode[T any](e Entry, decode func([]byte) (T, error)) (T, error) {
	if e.memo != nil {
		if v, ok := e.memo.value.Load().(T); ok {
			return v, nil
		}
	}
	v, err := decode(e.Value)
	if err == nil && e.memo != nil {
		e.memo.value.CompareAndSwap(nil, v)
	}
	return v, err
}
