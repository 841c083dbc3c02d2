package sys

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Config is what the engine works on. All fields are set.
type Config struct {
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Policies   *policy.Book
	Tokens     *token.Manager
	Leases     *lease.Manager
	Reads      quota.Reader // the whole store, outside of transactions
	// Subject is unsealed.Vault.Subject; Caller is unsealed.Vault.Caller.
	Subject func(ctx context.Context, tx engine.Tx, e *token.Entry) (policy.Subject, error)
	Caller  func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error)
	Audit   *audit.Broker
	Barrier *seal.Barrier
	AskSeal func() // seals the vault once the present request has been answered
	// Reach is unsealed.Vault.Reach.
	Reach   func(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error)
	Random  io.Reader
	Version string // semver
	// Nodes and AskStepDown are unsealed.Vault's.
	Nodes       func(context.Context) ([]leader.NodeStatus, error)
	AskStepDown func(context.Context) error
	// Others are routes below sys/ that packages of their own serve. They see the
	// whole store, as the engine does.
	Others [][]engine.Route
	// Closers end what those routes keep in memory.
	Closers []func()
}

// Engine serves sys/.
type Engine struct{ cfg Config }

// New returns the engine; the gate mounts it at sys/.
func New(cfg Config) *Engine { return &Engine{cfg} }

// Close wipes what its routes keep in memory.
func (e *Engine) Close() error {
	for _, end := range e.cfg.Closers {
		end()
	}
	return nil
}

// Routes lists every path below sys/ that goes through the gate.
func (e *Engine) Routes() []engine.Route {
	var all []engine.Route
	own := [][]engine.Route{
		e.mountRoutes(), e.policyRoutes(), e.capabilityRoutes(), e.auditRoutes(), e.auditHeaderRoutes(), e.keyRoutes(), e.clientRoutes(), e.lockoutRoutes(),
		e.passwordRoutes(),
	}
	for _, group := range slices.Concat(own, e.cfg.Others) {
		all = append(all, group...)
	}
	rootOnly(all)
	return all
}

// respond encodes data; top repeats its members beside the envelope's.
func respond(data any, top bool) (*engine.Response, error) {
	encoded, err := engine.JSON(data)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: encoded, TopLevel: top}, nil
}

// keyRoutes are about the keyring and the seal.
func (e *Engine) keyRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "key-status", Summary: "The newest key of the keyring.", ReadOnly: true,
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.keyStatus},
		},
		{
			Pattern: "rotate", Sudo: true, Summary: "Add a new key to the keyring; older entries stay readable.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.rotate},
		},
		{
			Pattern: "seal", Sudo: true, Summary: "Seal the vault: keys leave memory, nothing is served until it is unsealed.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.seal},
		},
		{
			Pattern: "step-down", Sudo: true, Summary: "Have the node that does the background work leave it to another; a single node keeps it.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.stepDown},
		},
		{
			Pattern: "metrics", Summary: "Metrics in the text format of Prometheus.", ReadOnly: true,
			Fields:   []engine.Field{{Name: "format", Type: engine.String, Help: "prometheus, the only one"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: metrics},
		},
		{
			Pattern: "in-flight-req", Sudo: true, ReadOnly: true, Summary: "The requests under way on this node.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: metrics},
		},
		{
			Pattern: "monitor", Sudo: true, ReadOnly: true, Summary: "The server's log as it is written, line by line, until the client goes away.",
			Fields: []engine.Field{
				{Name: "log_level", Type: engine.String, Default: "info", Help: "debug, info, warn or error"},
				{Name: "log_format", Type: engine.String, Default: "standard", Help: "standard or json"},
			},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: metrics},
		},
	}
}

func (e *Engine) keyStatus(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	info, err := e.cfg.Barrier.RotationInfo()
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{
		"term": info.Term, "install_time": info.Installed.UTC().Format(time.RFC3339Nano), "encryptions": info.Encryptions,
	}, true)
}

// rotate is durable when it returns: the barrier commits the new keyring
// itself, below the transaction, because the transaction is sealed with it.
// Run again after a conflict it would add one more key, which does no harm.
func (e *Engine) rotate(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	_, err := e.cfg.Barrier.Rotate(ctx)
	return nil, err
}

func (e *Engine) seal(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	e.cfg.AskSeal()
	return nil, nil
}

func (e *Engine) stepDown(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return &engine.Response{After: e.cfg.AskStepDown}, nil
}

// metrics, and monitor and in-flight-req alike, only passes policy and audit here; the wire writes the body, which it
// recognises by Raw with status 0.
func metrics(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Raw: &engine.Raw{}}, nil
}

// clientRoutes are what clients ask of the system about itself.
func (e *Engine) clientRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "internal/ui/mounts", Unauthenticated: true, Recognises: true, ReadOnly: true,
			Summary:  "Mounts that are listed before login (listing_visibility=unauth), and with a token those it may use.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.visibleMounts},
		},
		{
			Pattern: "internal/ui/mounts/{path...}", TokenOnly: true, ReadOnly: true,
			Summary:  "The mount that a path belongs to; how the kv command tells version 1 from 2.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.preflight},
		},
		{
			Pattern: "ha-status", ReadOnly: true, Summary: "The nodes of the cluster.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.haStatus},
		},
	}
}

// visibleMounts shows those that are meant to be seen by all, and all of those
// below which the caller, if there is one, may do anything.
func (e *Engine) visibleMounts(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	acl, err := e.callerACL(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	secret, auth := map[string]any{}, map[string]any{}
	for _, m := range e.cfg.Mounts.Table().In(req.Namespace) {
		var shown map[string]any
		switch {
		case acl != nil && acl.AnyUnder(req.Namespace.Path+m.Path):
			shown = e.describe(m)
		case m.Config.ListingVisibility == "unauth":
			shown = map[string]any{"type": m.Type, "description": m.Description, "options": m.Options}
		default:
			continue
		}
		if path, is := strings.CutPrefix(m.Path, mount.AuthPrefix); is {
			auth[path] = shown
		} else {
			secret[m.Path] = shown
		}
	}
	if !req.Namespace.Root() && len(secret)+len(auth) == 0 {
		return nil, errs.New(errs.Unauthenticated, "permission denied") // as if there were no such namespace
	}
	return respond(map[string]any{"secret": secret, "auth": auth}, false)
}

// callerACL is what the caller may do; nil: there is no caller.
func (e *Engine) callerACL(ctx context.Context, tx engine.Tx, req *engine.Request) (*policy.ACL, error) {
	if len(req.Caller.Policies) == 0 && req.Caller.EntityID == "" {
		return nil, nil
	}
	who, err := e.cfg.Caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	acl, _, err := e.cfg.Policies.ACLFor(ctx, tx, who)
	return acl, err
}

func (e *Engine) haStatus(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	nodes, err := e.cfg.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]any, 0, len(nodes))
	for _, n := range nodes {
		one := map[string]any{
			"hostname": n.Name, "api_address": n.Address, "cluster_address": n.Address, "active_node": n.Leading,
			"last_echo": nil, "version": n.Version,
		}
		if !n.Heard.IsZero() && !n.Self {
			one["last_echo"] = n.Heard.UTC().Format(time.RFC3339Nano)
		}
		all = append(all, one)
	}
	return respond(map[string]any{"nodes": all}, true)
}

// preflight answers for the mount that a path belongs to, which may lie in a
// namespace below that of the request. Without any
// capability below it the answer is 403 whether the mount exists or not
// (facts §1.1 row 22: a 404 would mean "an old server" to the kv command).
func (e *Engine) preflight(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	path := strings.Trim(req.Params["path"], "/")
	ns, rest := e.cfg.Namespaces.Table().Find(req.Namespace.Path + path)
	denied := errs.Newf(errs.Denied, "preflight capability check returned 403, please ensure client's policies grant access to path %q", path+"/")
	m, _, ok := e.cfg.Mounts.Table().Find(ns, rest)
	if !ok {
		return nil, denied
	}
	who, err := e.cfg.Caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	acl, _, err := e.cfg.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return nil, err
	}
	if !acl.AnyUnder(ns.Path + m.Path) {
		return nil, denied
	}
	return respond(map[string]any{
		"path": strings.TrimPrefix(ns.Path, req.Namespace.Path) + m.Path, "type": m.Type, "description": m.Description, "uuid": m.ID, "accessor": m.Accessor,
		"local": m.Local, "seal_wrap": m.SealWrap, "external_entropy_access": false, "options": m.Options,
		"config": tuning(m),
	}, false)
}
