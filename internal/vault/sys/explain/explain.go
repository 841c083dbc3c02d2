package explain

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// Config of an Explainer. All fields are set.
type Config struct {
	Policies   *policy.Book
	Tokens     *token.Manager
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	// Subject is unsealed.Vault.Subject.
	Subject func(ctx context.Context, tx engine.Tx, e *token.Entry) (policy.Subject, error)
	// Reach is unsealed.Vault.Reach.
	Reach func(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error)
}

// Explainer answers questions about policy. All state is in the transactions.
type Explainer struct{ cfg Config }

// New returns an Explainer.
func New(cfg Config) *Explainer { return &Explainer{cfg} }

// Routes are those below sys/.
func (x *Explainer) Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "policies/explain", Summary: "Why a token or a set of policies may or may not do something.",
		Help: "Without token, accessor and policies it is about the caller. Whoever may ask here sees the rules of all policies.",
		Fields: []engine.Field{
			{Name: "token", Type: engine.String, Secret: true, Help: "whose policies to ask"},
			{Name: "accessor", Type: engine.String, Help: "of the token whose policies to ask"},
			{Name: "policies", Type: engine.Strings, Help: "names of policies, instead of a token's"},
			{Name: "path", Type: engine.String, Help: "with its mount, for example secret/data/my-app"},
			{Name: "operation", Type: engine.String, Help: "read, create, update, patch, delete, list, or write: create and update"},
			{Name: "parameters", Type: engine.Object, Help: "of the request, where policies have conditions on them"},
			{Name: "wrap_ttl", Type: engine.Duration, Help: "for how long the answer would be wrapped"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: x.explain},
	}}
}

func (x *Explainer) explain(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	path, operation := strings.TrimLeft(d.String("path", ""), "/"), d.String("operation", "read")
	q := policy.Question{Query: policy.Query{Path: path, WrapTTL: d.Duration("wrap_ttl", 0)}}
	parameters := d.Raw("parameters")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if path == "" {
		return nil, errs.New(errs.Invalid, "missing path: what is to be asked for, for example secret/data/my-app")
	}
	if parameters != nil {
		body, err := engine.ParseBody(parameters)
		if err != nil {
			return nil, errs.New(errs.Invalid, "field parameters must be an object")
		}
		q.Params = &body
	}
	var err error
	if q.Want, err = capability(operation); err != nil {
		return nil, err
	}
	if q.Want == policy.List && !strings.HasSuffix(q.Path, "/") {
		q.Path += "/"
	}
	who, err := x.subject(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	q.Path = req.Namespace.Path + q.Path
	note := x.describe(&q)
	found, err := x.cfg.Policies.Explain(ctx, tx, who, q)
	if err != nil {
		return nil, err
	}
	return answer(found, who, operation, note)
}

// answer adds to an explanation what policy does not know.
func answer(found *policy.Explanation, who policy.Subject, operation, note string) (*engine.Response, error) {
	raw, err := engine.JSON(found)
	if err != nil {
		return nil, err
	}
	o := engine.NewObject().Str("operation", operation).Strs("policies", who.Names).Str("note", note)
	if err := engine.Members(raw, func(name string, value jsontext.Value) error { o = o.Raw(name, value); return nil }); err != nil {
		return nil, err
	}
	return &engine.Response{Data: o.Value()}, nil
}

var capabilities = map[string]policy.Capability{
	"read": policy.Read, "create": policy.Create, "update": policy.Update, "patch": policy.Patch,
	"delete": policy.Delete, "list": policy.List, "write": policy.Create | policy.Update,
}

func capability(operation string) (policy.Capability, error) {
	if c := capabilities[strings.ToLower(operation)]; c != 0 {
		return c, nil
	}
	return 0, errs.New(errs.Invalid, "operation must be read, create, update, patch, delete, list or write")
}

// subject is who the question is about.
func (x *Explainer) subject(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error) { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	asked, accessor, names := d.String("token", ""), d.String("accessor", ""), d.Strings("policies")
	if err := d.Err(); err != nil {
		return policy.Subject{}, err
	}
	given := 0
	for _, there := range []bool{asked != "", accessor != "", len(names) > 0} {
		if there {
			given++
		}
	}
	var e *token.Entry
	var err error
	switch {
	case given > 1:
		return policy.Subject{}, errs.New(errs.Invalid, "give one of token, accessor and policies")
	case len(names) > 0:
		return policy.Subject{Namespace: policy.Namespace(req.Namespace), Names: grant.Normalize(names)}, nil
	case asked != "":
		e, err = x.cfg.Tokens.Lookup(ctx, tx, asked)
	case accessor != "":
		e, err = x.cfg.Tokens.LookupAccessor(ctx, tx, accessor)
	case req.Caller.TokenKey == "": // a batch token
		e = &token.Entry{Namespace: req.Caller.Namespace.ID, Policies: req.Caller.Policies, EntityID: req.Caller.EntityID}
		if req.Caller.Namespace.Root() {
			e.Namespace = ""
		}
	default:
		e, err = x.cfg.Tokens.Get(ctx, tx, req.Caller.TokenKey)
	}
	if err == nil {
		// Whose policies are of another namespace is none of this one's business.
		_, err = x.cfg.Reach(ctx, tx, req, e.Namespace)
	}
	if errs.Is(err, errs.Unauthenticated) || errs.Is(err, errs.Denied) {
		return policy.Subject{}, errs.New(errs.Invalid, "invalid token or accessor: it is unknown, expired or revoked")
	}
	if err != nil {
		return policy.Subject{}, err
	}
	return x.cfg.Subject(ctx, tx, e)
}

// describe sets what the path's own route asks for, and returns what policy does
// not decide about it.
func (x *Explainer) describe(q *policy.Question) string {
	ns, path := x.cfg.Namespaces.Table().Find(q.Path)
	m, rest, ok := x.cfg.Mounts.Table().Find(ns, path)
	if !ok {
		return "nothing is mounted there"
	}
	route, _, ok := m.Router.Match(rest)
	switch {
	case !ok:
		return "the engine at " + m.Path + " has no such path"
	case route.Unauthenticated:
		return "the path asks for no token, and policy is not asked"
	case route.TokenOnly:
		return "the path is open to every token, and policy is not asked"
	}
	q.Sudo = route.Sudo
	if q.Want == policy.Create|policy.Update && route.Exists == nil {
		q.Want = policy.Update // the path does not tell one from the other
	}
	return ""
}
