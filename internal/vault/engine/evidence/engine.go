package evidence

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
)

// MaxStatement bounds a statement, in bytes of its JSON. Its envelope is a third
// larger and must fit into one stored value.
const MaxStatement = 512 << 10

// Engine is one mount. It keeps no state outside its Tx.
type Engine struct{ cfg engine.Config }

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Setter = (*Engine)(nil)
)

// New is the engine.Factory of evidence.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg}, nil }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

// Setup implements engine.Setter: it makes the first key.
func (e *Engine) Setup(_ context.Context, tx engine.Tx) error { return e.begin(tx) }

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "statements/{name...}",
			Handlers: map[engine.Operation]engine.Handler{
				engine.Update: e.append, engine.Read: e.read, engine.List: list,
			},
			// Each statement is new: it takes the create capability, and update is for nothing.
			Exists:   func(context.Context, engine.Tx, *engine.Request) (bool, error) { return false, nil },
			ReadOnly: true,
			Summary:  "Statements, signed and in chains.",
			Help: "A write signs a statement of a turn and appends it to the chain of NAME. The same statement of the same turn " +
				"is answered as it was; another one of that turn, or of an earlier turn, is refused. Nothing is ever changed or removed. " +
				"A read of NAME gives the last statement, of NAME/TURN that of a turn. Verify with `strongkeep rotation verify`, without the vault.",
			Fields: append([]engine.Field{
				{Name: "statement", Type: engine.Object, Help: "What is stated: a JSON object of at most 512 KiB. No secret belongs in it."},
				{Name: "turn", Type: engine.Int, Help: "Its number, from 1, greater than that of the statement before it."},
			}, keypath.Fields()...),
		},
		{
			Pattern:  "keys",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.keys},
			ReadOnly: true,
			Summary:  "Public keys, in PEM, and which one signs.",
			Help: "public_keys has all of them, one after another, as verifiers take them. Each key but the first comes with an " +
				"endorsement: an envelope by which the key before it speaks for it.",
		},
		{
			Pattern:  "keys/rotate",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.rotate},
			Summary:  "Sign with a new key from now on.",
			Help:     "Older keys stay for verifying. What they signed stays as it is.",
		},
	}
}

// get decodes the entry at key into v; false if there is none.
func get(ctx context.Context, tx engine.Tx, key string, v any) (bool, error) {
	entry, err := tx.Get(ctx, key)
	if err != nil || !entry.Exists() {
		return false, err
	}
	if err := json.Unmarshal(entry.Value, v); err != nil {
		return false, errs.Newf(errs.Internal, "decoding the entry %q of an evidence engine: its %d bytes are damaged or of a newer format", key, len(entry.Value))
	}
	return true, nil
}

// put stores v at key.
func put(tx engine.Tx, key string, v any) error {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the entry %q of an evidence engine: unsupported value", key)
	}
	tx.Put(key, raw)
	return nil
}

// number reads s as the number of a turn: digits without a zero in front.
func number(s string) (int64, bool) {
	if s == "" || len(s) > 18 || s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	var n int64
	for _, c := range s {
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// checkName returns Invalid unless name can have statements. One whose last of two
// or more segments is a number may, such as of a Rotation shop/7: where it is a
// turn of the name before it as well, that turn is what is read, see read.
func checkName(name string) error {
	if err := keypath.Check(name); err != nil {
		return err
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	if last == name && strings.Trim(last, "0123456789") == "" {
		return errs.Newf(errs.Invalid, "the name %q ends in a number, which names a turn: put a word behind it", name)
	}
	return nil
}
