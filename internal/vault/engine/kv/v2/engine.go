package v2

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	// MaxVersions bounds max_versions. Removing a secret deletes all its
	// versions in one transaction, which has room for store.MaxChanges; the rest
	// is for what the gate adds to it.
	MaxVersions = 400

	// DefaultVersions are kept where neither mount nor secret says how many.
	DefaultVersions = 10

	// MaxData bounds the JSON of one version, a little under store.MaxValue.
	MaxData = store.MaxValue - 1<<10
)

// Engine is one mount of kv version 2. It keeps no state outside its Tx.
type Engine struct{}

// New is the engine.Factory of kv version 2.
func New(engine.Config) (engine.Engine, error) { return &Engine{}, nil }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

// keyOf returns the name of the secret that the request is about.
func keyOf(req *engine.Request) (string, error) {
	key := req.Params["path"]
	return key, keypath.Check(key)
}

func metaKey(key string) string { return "meta/" + key }

// versionKey is "ver/" + key + "/" + n, made with one allocation.
func versionKey(key string, n uint64) string {
	var room [192]byte
	b := append(append(room[:0], "ver/"...), key...)
	return string(strconv.AppendUint(append(b, '/'), n, 10))
}

// load returns the metadata of a secret, nil if there is none. It is shared:
// clone it before a change.
func load(ctx context.Context, tx engine.Tx, key string) (*metadata, error) {
	e, err := tx.Get(ctx, metaKey(key))
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, decodeMetadata)
}

// found is a version as it stood at one moment. The zero found is none.
type found struct {
	m    *metadata
	v    *version
	data jsontext.Value // nil: the version is gone
}

// loadVersion returns version n of a secret, the latest for 0. Reads outside a
// transaction may see a writer between metadata and data: data that is missing,
// or younger than the metadata, may belong to another state of the secret, and
// both are read anew until they hold still. (Data that stays younger was only
// sealed anew, which changes no metadata.)
func loadVersion(ctx context.Context, tx engine.Tx, key string, n uint64, now time.Time) (found, error) {
	var before sight
	for {
		s, err := look(ctx, tx, key, n, now)
		still := s.metaRev == before.metaRev && s.dataRev == before.dataRev
		switch {
		case err != nil:
			return found{}, err
		case s.v == nil || s.v.gone(now):
			return s.found, nil
		case s.data != nil && (still || s.dataRev <= s.metaRev):
			return s.found, nil
		case still:
			return found{}, errs.New(errs.Internal, "the data of a version is missing or damaged in storage")
		}
		before = s
	}
}

// sight is what one look at metadata and data saw.
type sight struct {
	found
	metaRev, dataRev store.Revision
}

func look(ctx context.Context, tx engine.Tx, key string, n uint64, now time.Time) (s sight, err error) {
	e, err := tx.Get(ctx, metaKey(key))
	if err != nil || !e.Exists() {
		return s, err
	}
	s.metaRev = e.Revision
	if s.m, err = store.Decode(e, decodeMetadata); err != nil {
		return s, err
	}
	if s.v = s.m.find(n); s.v == nil || s.v.gone(now) {
		return s, nil
	}
	blob, err := tx.Get(ctx, versionKey(key, s.v.n))
	if len(blob.Value) > 1 && blob.Value[0] == dataFormat {
		s.data = jsontext.Value(blob.Value[1:])
	}
	s.dataRev = blob.Revision
	return s, err
}

// dataFormat is the first byte of every stored version.
const dataFormat = 1

// putData stores the data of a version.
func putData(tx engine.Tx, key string, n uint64, data jsontext.Value) error {
	if len(data) > MaxData {
		return errs.Newf(errs.TooLarge, "the data has %d bytes, over the limit of %d for one secret: split it", len(data), MaxData)
	}
	blob := make([]byte, 0, len(data)+1)
	tx.Put(versionKey(key, n), append(append(blob, dataFormat), data...))
	return nil
}

// exists tells create from update for data and metadata. What is wrong with
// the name is for the handler to say, after policy was asked.
func exists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	key, err := keyOf(req)
	if err != nil {
		return false, nil
	}
	m, err := load(ctx, tx, key)
	return m != nil, err
}

// emit announces a change of a secret in Vault's terms. data_path names what to
// read again.
func emit(tx engine.Tx, operation, path, key string, m *metadata) {
	tx.Emit(engine.Event{Type: "kv-v2/" + operation, Path: path, Metadata: map[string]string{
		"operation":       operation,
		"path":            path,
		"data_path":       "data/" + key,
		"modified":        "true",
		"current_version": strconv.FormatUint(m.current, 10),
		"oldest_version":  strconv.FormatUint(m.oldest, 10),
	}})
}
