package wrapping

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// ErrToken is what clients know for every token that wraps nothing: unknown,
// used, expired or of another kind (facts §2.10).
var ErrToken = errs.New(errs.Invalid, "wrapping token is not valid or does not exist")

// Config of a Wrapper. All fields are set.
type Config struct {
	Tokens  *token.Manager
	Mounts  *mount.Registry // where the cubbyhole is found
	Longest time.Duration   // a wrapping token never lives longer
	// Usable reports whether a token is of use to a request in ns; nil = always.
	Usable func(e *token.Entry, ns engine.Namespace) bool
}

// Wrapper wraps and unwraps. All state is in the transactions it is given, which
// show the whole store. Any number of goroutines may use it at once.
type Wrapper struct{ cfg Config }

// New returns a Wrapper.
func New(cfg Config) *Wrapper { return &Wrapper{cfg} }

// Answer is an answer as it goes over the wire.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

const jsonType = "application/json"

// Wrapping is one answer to be wrapped.
type Wrapping struct {
	Answer    Answer
	TTL       time.Duration // more than 0
	Namespace string        // ID of that of the request, "" = the root
	Path      string        // of the request, within it
	// Accessor is that of the token within the answer, "" if it is no login.
	Accessor string
}

// accessorMeta is the metadata of a wrapping token that holds Wrapping.Accessor.
const accessorMeta = "wrapped_accessor"

// Wrap makes a wrapping token and keeps the answer for it. Kind TooLarge: the
// answer is over what one entry of a cubbyhole holds.
func (w *Wrapper) Wrap(ctx context.Context, tx engine.Tx, in Wrapping) (*engine.Wrapped, error) {
	spec := token.WrappingSpec(in.Path, in.TTL, w.cfg.Longest)
	spec.Namespace = in.Namespace
	if in.Accessor != "" {
		spec.Meta = map[string]string{accessorMeta: in.Accessor}
	}
	made, err := w.cfg.Tokens.Create(ctx, tx, spec)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "making a wrapping token: %w", err)
	}
	e := made.Entry
	if _, err := w.cubbyhole(ctx, tx, e.Key, engine.Create, in.Answer.encode()); err != nil {
		if errs.Is(err, errs.TooLarge) {
			return nil, errs.New(errs.TooLarge, "the answer is too large to be wrapped: ask for less at once, or without X-Vault-Wrap-TTL")
		}
		return nil, errs.Newf(errs.KindOf(err), "keeping a wrapped answer: %w", err)
	}
	return &engine.Wrapped{
		Token: made.Token, Accessor: e.Accessor, TTL: e.TTL, Created: e.Created,
		CreationPath: in.Path, WrappedAccessor: in.Accessor,
	}, nil
}

// Lookup returns the wrapping token that a client presented. Kind Invalid, with
// the text of ErrToken: it is none.
func (w *Wrapper) Lookup(ctx context.Context, tx token.Reader, presented redact.Secret) (*token.Entry, error) {
	e, err := w.cfg.Tokens.Lookup(ctx, tx, presented.RevealString())
	switch {
	case errs.Is(err, errs.Unauthenticated):
		return nil, ErrToken
	case err != nil:
		return nil, err
	case !e.Wrapping():
		return nil, ErrToken
	}
	return e, nil
}

// Take returns what is kept for a wrapping token and revokes it: of two
// transactions that take the same, one does not commit.
func (w *Wrapper) Take(ctx context.Context, tx engine.Tx, e *token.Entry) (Answer, error) {
	res, err := w.cubbyhole(ctx, tx, e.Key, engine.Read, engine.Body{})
	if err != nil {
		return Answer{}, errs.Newf(errs.KindOf(err), "reading a wrapped answer: %w", err)
	}
	if res == nil {
		return Answer{}, ErrToken
	}
	a, err := decode(res.Data)
	if err != nil {
		return Answer{}, err
	}
	return a, w.cfg.Tokens.Revoke(ctx, tx, e.Key, token.Tree)
}

// Rewrap takes what is kept for a wrapping token and keeps it for a new one, for
// as long as the first one was made for.
func (w *Wrapper) Rewrap(ctx context.Context, tx engine.Tx, e *token.Entry) (*engine.Wrapped, error) {
	a, err := w.Take(ctx, tx, e)
	if err != nil {
		return nil, err
	}
	return w.Wrap(ctx, tx, Wrapping{Answer: a, TTL: e.TTL, Namespace: e.Namespace, Path: e.Path, Accessor: e.Meta[accessorMeta]})
}

// place is the path of the answer within the token's cubbyhole.
const place = "response"

// cubbyhole has the engine at cubbyhole/ do op on place as the token with this key.
func (w *Wrapper) cubbyhole(ctx context.Context, tx engine.Tx, tokenKey string, op engine.Operation, body engine.Body) (*engine.Response, error) {
	m := w.cfg.Mounts.Table().ByPath(engine.Namespace{}, "cubbyhole/")
	if m == nil {
		return nil, errs.New(errs.Internal, "there is no cubbyhole")
	}
	route, params, ok := m.Router.Match(place)
	if !ok || route.Handler(op) == nil {
		return nil, errs.New(errs.Internal, "the engine at cubbyhole/ is no cubbyhole")
	}
	return route.Handler(op)(ctx, mount.Confine(tx, m.Storage()), &engine.Request{
		Operation: op, Mount: m.Path, Path: place, Params: params, Body: body, Caller: engine.Caller{TokenKey: tokenKey},
	})
}

// encode makes the cubbyhole's entry. An answer in JSON, which nearly every one
// is, is the string "response", as Vault has it. Any other is
//
//	{"content_type": "…", "raw": "<base64>", "status": 200}
func (a Answer) encode() engine.Body {
	if a.Status == 200 && a.ContentType == jsonType {
		return engine.NewBody(map[string]jsontext.Value{place: quote(string(a.Body))})
	}
	return engine.NewBody(map[string]jsontext.Value{
		"content_type": quote(a.ContentType), "raw": quote(base64.StdEncoding.EncodeToString(a.Body)),
		"status": strconv.AppendInt(nil, int64(a.Status), 10),
	})
}

func quote(s string) jsontext.Value {
	b, _ := jsontext.AppendQuote(make([]byte, 0, len(s)+len(s)/8+2), s)
	return b
}

// decode reads an entry. Kind Invalid with ErrToken's text: the holder of the
// token put something else there.
func decode(entry jsontext.Value) (Answer, error) {
	body, err := engine.ParseBody(entry)
	if err != nil {
		return Answer{}, errs.New(errs.Internal, "a wrapped answer is damaged")
	}
	d := body.Decode()
	a := Answer{Status: 200, ContentType: jsonType, Body: []byte(d.String(place, ""))}
	if raw := d.String("raw", ""); raw != "" {
		a.Status, a.ContentType = int(d.Int("status", 0)), d.String("content_type", "")
		if a.Body, err = base64.StdEncoding.DecodeString(raw); err != nil {
			return Answer{}, ErrToken
		}
	}
	if d.Err() != nil || len(a.Body) == 0 || a.Status < 200 || a.Status > 299 {
		return Answer{}, ErrToken
	}
	return a, nil
}
