package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// coreRoutes say what the paths are that bypass the gate, for ?help=1. They are
// never called: serveInit and its like are.
func coreRoutes() []engine.Route {
	uncalled := func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return nil, nil }
	read := map[engine.Operation]engine.Handler{engine.Read: uncalled}
	write := map[engine.Operation]engine.Handler{engine.Update: uncalled}
	both := map[engine.Operation]engine.Handler{engine.Read: uncalled, engine.Update: uncalled}
	code := func(name, when, usual string) engine.Field {
		return engine.Field{Name: name, Type: engine.Int, Default: usual, Help: "The status to answer with when the vault is " + when + "."}
	}
	return []engine.Route{
		{
			Pattern: "init", Handlers: both, Unauthenticated: true, Summary: "Whether there is a vault; make one.",
			Help: "A write makes the vault, once. Its answer has the shares that unseal it and the root token: nobody can get them again.",
			Fields: []engine.Field{
				{Name: "secret_shares", Type: engine.Int, Help: "How many shares the unseal key is split into."},
				{Name: "secret_threshold", Type: engine.Int, Help: "How many of them unseal the vault."},
				{Name: "recovery_shares", Type: engine.Int, Help: "The same as secret_shares."},
				{Name: "recovery_threshold", Type: engine.Int, Help: "The same as secret_threshold."},
				{Name: "pgp_keys", Type: engine.Strings, Help: "A public PGP key for each share, in base64."},
				{Name: "recovery_pgp_keys", Type: engine.Strings, Help: "The same as pgp_keys."},
				{Name: "age_recipients", Type: engine.Strings, Help: "An age recipient for each share, instead or behind those."},
				{Name: "root_token_pgp_key", Type: engine.String, Help: "The PGP key that the root token is for."},
				{Name: "root_token_age_recipient", Type: engine.String, Help: "Or the age recipient."},
			},
		},
		{Pattern: "seal-status", Handlers: read, Unauthenticated: true, Summary: "Whether the vault is sealed, and how many shares were given."},
		{Pattern: "seal-backend-status", Handlers: read, Unauthenticated: true, Summary: "Whether the unseal keys of this node work."},
		{
			Pattern: "unseal", Handlers: write, Unauthenticated: true, Summary: "Give one share; the vault opens at the threshold.",
			Fields: []engine.Field{
				{Name: "key", Type: engine.String, Help: "One share, in base64 or hex."},
				{Name: "reset", Type: engine.Bool, Default: "false", Help: "Drop the shares given so far."},
			},
		},
		{
			Pattern: "health", Handlers: read, Unauthenticated: true, Summary: "Whether the vault serves requests, as a status for load balancers.",
			Help: "HEAD answers without a body.",
			Fields: []engine.Field{
				code("activecode", "unsealed", "200"), code("sealedcode", "sealed", "503"), code("uninitcode", "not initialised", "501"),
				code("behindcode", "unsealed and out of touch with its store, so that requests are refused", "503"),
			},
		},
		{Pattern: "leader", Handlers: read, Unauthenticated: true, Summary: "Which node is active in the background work; each serves reads and writes."},
	}
}

// coreHelp is the router of coreRoutes, which are constant.
func coreHelp() *engine.Router {
	r, err := engine.NewRouter(coreRoutes())
	if err != nil {
		panic(err) // only if coreRoutes is wrong, which its test would find
	}
	return r
}

// asksForHelp reports whether a query asks what a path is for.
func asksForHelp(query url.Values) bool {
	help := query.Get("help")
	return help != "" && help != "0"
}

// serveCoreHelp answers ?help=1 of a path that bypasses the gate. Like the path
// itself it needs no token, and works while the vault is sealed.
func (h *Handler) serveCoreHelp(w http.ResponseWriter, path string) {
	res := h.helps.Help("sys/", strings.TrimPrefix(strings.TrimSuffix(path, "/"), "sys/"))
	send(w, http.StatusOK, append(res.Data, '\n'))
}
