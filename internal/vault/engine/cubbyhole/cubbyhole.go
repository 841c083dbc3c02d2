package cubbyhole

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	// MaxEntries bounds what one token may keep. They are removed in the
	// transaction that removes the token, which must have room for them.
	MaxEntries = 128

	// MaxData bounds the JSON of one entry, a little under store.MaxValue.
	MaxData = store.MaxValue - 1<<10
)

// format is the first byte of everything stored.
const format = 1

// Engine is the mount cubbyhole/. It keeps no state outside its Tx.
type Engine struct{}

// New is the engine.Factory of mount type cubbyhole.
func New(engine.Config) (engine.Engine, error) { return &Engine{}, nil }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

// Routes implements engine.Engine.
func (*Engine) Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "{path...}",
		Handlers: map[engine.Operation]engine.Handler{
			engine.Read: read, engine.Create: write, engine.Update: write, engine.Delete: remove, engine.List: list,
		},
		Exists:   exists,
		ReadOnly: true,
		Summary:  "Entries that belong to the token alone.",
		Help:     "The body of a write is the entry. No other token can see it, and it is gone when the token is.",
		Fields:   append([]engine.Field{{Name: engine.AnyField, Secret: true, Help: "The entry, kept byte for byte."}}, keypath.Fields()...),
	}}
}

// tokenOf returns whose cubbyhole the request is about. Who has no token, or
// one that leaves no trace, has none.
func tokenOf(req *engine.Request) (string, error) {
	switch token := req.Caller.TokenKey; {
	case token == "":
		return "", errs.New(errs.Unauthenticated, "permission denied")
	case strings.Contains(token, "/"):
		return "", errs.New(errs.Internal, "a token's key holds a slash")
	default:
		return token, nil
	}
}

// place is where a request's entry lies.
type place struct{ token, key string }

func placeOf(req *engine.Request) (p place, err error) {
	if p.token, err = tokenOf(req); err != nil {
		return p, err
	}
	path := req.Params["path"]
	p.key = p.token + "/" + path
	return p, keypath.Check(path)
}

// exists tells create from update; what is wrong with the request is for the
// handler to say.
func exists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	p, err := placeOf(req)
	if err != nil {
		return false, nil
	}
	e, err := tx.Get(ctx, p.key)
	return e.Exists(), err
}

func read(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := placeOf(req)
	if err != nil {
		return nil, err
	}
	e, err := tx.Get(ctx, p.key)
	if err != nil || !e.Exists() {
		return nil, err
	}
	if len(e.Value) < 3 || e.Value[0] != format {
		return nil, errs.Newf(errs.Internal, "decoding a cubbyhole entry: its %d bytes are damaged or of a newer format", len(e.Value))
	}
	return &engine.Response{Data: jsontext.Value(e.Value[1:len(e.Value):len(e.Value)])}, nil
}

func write(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := placeOf(req)
	if err != nil {
		return nil, err
	}
	data := req.Body.Raw()
	switch {
	case req.Body.Len() == 0:
		return nil, errs.New(errs.Invalid, "missing data fields")
	case len(data) > MaxData:
		return nil, errs.Newf(errs.TooLarge, "the data has %d bytes, over the limit of %d for one entry: split it", len(data), MaxData)
	}
	n, there, err := p.look(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !there {
		if n >= MaxEntries {
			return nil, errs.Newf(errs.Exhausted, "the token has %d cubbyhole entries, which is the limit: delete some", n)
		}
		tx.Put(p.token, encodeCount(n+1))
	}
	entry := make([]byte, 0, len(data)+1)
	tx.Put(p.key, append(append(entry, format), data...))
	return nil, nil
}

func remove(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := placeOf(req)
	if err != nil {
		return nil, err
	}
	n, there, err := p.look(ctx, tx)
	if err != nil || !there {
		return nil, err
	}
	if n > 1 {
		tx.Put(p.token, encodeCount(n-1))
	} else {
		tx.Delete(p.token)
	}
	tx.Delete(p.key)
	return nil, nil
}

// look returns how many entries the token has, and whether this is one of them.
func (p place) look(ctx context.Context, tx engine.Tx) (n uint64, there bool, err error) {
	if n, err = count(ctx, tx, p.token); err != nil {
		return 0, false, err
	}
	e, err := tx.Get(ctx, p.key)
	return n, e.Exists(), err
}

// count returns how many entries a token has. It is stored as the format byte
// and a uvarint, and not at all if there are none.
func count(ctx context.Context, tx engine.Tx, token string) (uint64, error) {
	e, err := tx.Get(ctx, token)
	if err != nil || !e.Exists() {
		return 0, err
	}
	return decodeCount(e.Value)
}

func encodeCount(n uint64) []byte { return binary.AppendUvarint([]byte{format}, n) }

func decodeCount(entry []byte) (uint64, error) {
	if len(entry) > 1 && entry[0] == format {
		if n, size := binary.Uvarint(entry[1:]); size == len(entry)-1 && n > 0 {
			return n, nil
		}
	}
	return 0, errs.Newf(errs.Internal, "decoding the size of a cubbyhole: its %d bytes are damaged or of a newer format", len(entry))
}

func list(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	token, err := tokenOf(req)
	if err != nil {
		return nil, err
	}
	folder, err := keypath.Folder(req.Params["path"])
	if err != nil {
		return nil, err
	}
	return keypath.List(ctx, tx, token+"/"+folder, req)
}

// TokenGone implements engine.TokenWatcher: it removes all that the token kept.
// A token without entries, which is nearly every one, costs one Get.
func (*Engine) TokenGone(ctx context.Context, tx engine.Tx, tokenKey string) error {
	if tokenKey == "" {
		return nil
	}
	n, err := count(ctx, tx, tokenKey)
	if err != nil || n == 0 {
		return err
	}
	folders := []string{tokenKey + "/"}
	for len(folders) > 0 {
		folder := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		names, err := tx.List(ctx, folder, "", 0)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "/") {
				folders = append(folders, folder+name)
			} else {
				tx.Delete(folder + name)
			}
		}
	}
	tx.Delete(tokenKey)
	return nil
}
