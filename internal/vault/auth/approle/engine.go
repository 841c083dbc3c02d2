package approle

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Engine is one mount of the method.
type Engine struct {
	cfg   engine.Config
	roles auth.Records[role, *role]
	keyed atomic.Pointer[keyed] // the salt's; nil = not read yet
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	e := &Engine{cfg: cfg}
	e.roles = auth.Records[role, *role]{
		Folder: "role/", Noun: "role", Param: "name",
		New:     func(name string) role { return role{Name: name, BindSecretID: true} },
		Written: e.roleWritten, Deleted: e.roleDeleted,
	}
	return e, nil
}

// Close has nothing to stop.
func (*Engine) Close() error { return nil }

const saltKey = "salt"

// Setup implements engine.Setter.
func (e *Engine) Setup(_ context.Context, tx engine.Tx) error {
	salt := make([]byte, 32)
	if _, err := io.ReadFull(e.cfg.Random, salt); err != nil {
		return errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	tx.Put(saltKey, salt)
	return nil
}

// hash is what parts are known by in the store: HMAC-SHA256 under the mount's
// salt, each part with its length in front so that no two lists look alike.
func (e *Engine) hash(ctx context.Context, tx engine.Tx, parts ...string) (string, error) {
	salt, err := tx.Get(ctx, saltKey)
	if err != nil {
		return "", err
	}
	if len(salt.Value) != 32 {
		return "", errs.New(errs.Internal, "the approle method has lost its salt")
	}
	k := e.keyed.Load()
	if k == nil || !bytes.Equal(k.salt, salt.Value) {
		k = newKeyed(salt.Value)
		e.keyed.Store(k)
	}
	return k.hash(parts), nil
}

// keyed keeps HMAC states of one salt: keying one costs as much as hashing a
// secret ID.
type keyed struct {
	salt []byte
	pool sync.Pool // of *state
}

type state struct {
	mac hash.Hash
	in  []byte // what is hashed; wiped after use
	sum []byte
}

func newKeyed(salt []byte) *keyed {
	k := &keyed{salt: bytes.Clone(salt)}
	k.pool.New = func() any { return &state{mac: hmac.New(sha256.New, k.salt), sum: make([]byte, 0, sha256.Size)} }
	return k
}

func (k *keyed) hash(parts []string) string {
	s := k.pool.Get().(*state)
	defer k.pool.Put(s)
	s.in = s.in[:0]
	for _, p := range parts {
		s.in = append(binary.BigEndian.AppendUint32(s.in, uint32(len(p))), p...) // #nosec G115 -- parts are bounded far below
	}
	s.mac.Reset()
	s.mac.Write(s.in)
	clear(s.in)
	s.sum = s.mac.Sum(s.sum[:0])
	return base64.RawURLEncoding.EncodeToString(s.sum)
}

func (e *Engine) uuid() (string, error) {
	id, err := uuid.NewRandomFromReader(e.cfg.Random)
	if err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return id.String(), nil
}

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	routes := e.roles.Routes("role", append(roleFields(), auth.Fields()...))
	routes = append(routes, e.idRoutes()...)
	routes = append(routes, e.secretRoutes()...)
	routes = append(routes, e.fieldRoutes()...)
	return append(routes,
		engine.Route{
			Pattern: "tidy/secret-id", Handlers: handlers{engine.Update: e.tidy},
			Summary: "Delete secret IDs that have ended.", Help: "This is done by itself all the time; the request only has it done now.",
		},
		engine.Route{
			Pattern: "login", Handlers: handlers{engine.Update: e.login}, Unauthenticated: true,
			Fields: []engine.Field{
				{Name: "role_id", Type: engine.String, Help: "the role's ID"},
				{Name: "secret_id", Type: engine.String, Secret: true, Help: "a secret ID of the role, if it asks for one"},
			},
			Summary: "Log in with a role ID and a secret ID.", Help: "A secret ID with a limited number of uses loses one, whether or not its token is ever used.",
		})
}

func (e *Engine) idRoutes() []engine.Route {
	return []engine.Route{{
		Pattern: "role/{name}/role-id", Handlers: handlers{engine.Read: e.readID, engine.Update: e.writeID}, Canonical: strings.ToLower,
		Fields:  []engine.Field{{Name: "role_id", Type: engine.String, Help: "an ID of your choice; it must be unlike those of all other roles"}},
		Summary: "The role's ID.", Help: "It names the role at login and is no secret, yet not for everybody either.",
	}}
}

func (e *Engine) readID(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	_, r, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return notFound(err)
	}
	return &engine.Response{Data: engine.NewObject().Str("role_id", r.RoleID).Value()}, nil
}

func (e *Engine) writeID(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	id := d.String("role_id", "")
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case id == "":
		return nil, errs.New(errs.Invalid, "missing role_id")
	case len(id) > 1024:
		return nil, errs.New(errs.Invalid, "role_id is longer than 1024 bytes")
	}
	name, _, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.roles.Change(ctx, tx, name, func(r *role) error { r.RoleID = id; return nil })
}

// notFound makes the wire's plain 404 of a role that is not there.
func notFound(err error) (*engine.Response, error) {
	if errs.Is(err, errs.NotExist) {
		return engine.NotFound(), nil
	}
	return nil, err
}
