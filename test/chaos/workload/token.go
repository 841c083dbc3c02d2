package workload

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
)

var tokens atomic.Int64

// How long a token lives before and behind its revocation.
const (
	lived   = 700 * time.Millisecond
	revoked = 1800 * time.Millisecond
)

// tokenLife makes a token at a node, uses it at all, revokes it at another, and goes on using
// it for longer than it may work.
func (l *Load) tokenLife(ctx context.Context, c *asker) {
	name := "token" + strconv.FormatInt(tokens.Add(1), 10)
	token, ok := c.create(name)
	if !ok {
		return
	}
	c.uses(ctx, name, token, lived)
	gone := false
	for !gone && ctx.Err() == nil {
		o := history.Op{Node: c.rand.IntN(len(c.apis)), Kind: history.Revoke, Key: name}
		c.ask(&o, http.MethodPost, "auth/token/revoke", map[string]string{"token": token})
		l.cfg.Log.Add(o)
		gone = o.Outcome == history.OK
		rest(ctx, pause)
	}
	c.uses(ctx, name, token, revoked)
}

func (c *asker) create(name string) (string, bool) {
	o := history.Op{Node: c.rand.IntN(len(c.apis)), Kind: history.Create, Key: name}
	a := c.ask(&o, http.MethodPost, "auth/token/create", map[string]any{"policies": []string{"default"}, "ttl": "24h"})
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	if err := json.Unmarshal(a.Body, &made); o.Outcome == history.OK && (err != nil || made.Auth.Token == "") {
		o.Outcome, o.Detail = history.Unknown, "an answer without a token"
	}
	c.load.cfg.Log.Add(o)
	return made.Auth.Token, o.Outcome == history.OK
}

// uses looks a token up by itself, at each node in turn, with the index and without.
func (c *asker) uses(ctx context.Context, name, token string, d time.Duration) {
	end := c.load.cfg.Log.Now() + d
	for i := 0; ctx.Err() == nil && c.load.cfg.Log.Now() < end; i++ {
		o := history.Op{Node: i % len(c.apis), Kind: history.Use, Key: name, Indexed: c.rand.IntN(3) == 0}
		c.ask(&o, http.MethodGet, "auth/token/lookup-self", nil, "X-Vault-Token", token)
		c.load.cfg.Log.Add(o)
		rest(ctx, pause)
	}
}
