package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
)

// leaseClients is how many clients ask for leases at once.
const leaseClients = 4

// leaseLife asks a node for a lease, and of some asks another to end it before its time.
func (l *Load) leaseLife(ctx context.Context, c *asker) {
	c.count++
	o := history.Op{Node: c.rand.IntN(len(c.apis)), Kind: history.Lease, Key: fmt.Sprintf("%s%d-%d", l.accounts(), c.id, c.count)}
	a := c.ask(&o, http.MethodPut, "creds/creds/"+o.Key, nil)
	var given struct {
		ID string `json:"lease_id"`
	}
	if err := json.Unmarshal(a.Body, &given); o.Outcome == history.OK && (err != nil || given.ID == "") {
		o.Outcome, o.Detail = history.Unknown, "an answer without a lease"
	}
	l.cfg.Log.Add(o)
	rest(ctx, time.Duration(c.rand.IntN(150))*time.Millisecond)
	if o.Outcome != history.OK || c.rand.IntN(3) > 0 {
		return
	}
	end := history.Op{Node: c.rand.IntN(len(c.apis)), Kind: history.End, Key: o.Key}
	c.ask(&end, http.MethodPut, "sys/leases/revoke", map[string]any{"lease_id": given.ID, "sync": true})
	l.cfg.Log.Add(end)
}

// accounts is how the names of all accounts of this load begin.
func (l *Load) accounts() string { return l.cfg.Name + "-" }

// Ended waits until no account is left, no longer than wait, and notes what became of each: whether one is
// left is for who checks the log to say.
func (l *Load) Ended(ctx context.Context, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_ = l.cfg.World.Target.AwaitEnd(ctx, l.accounts())
	note := func(kind history.Kind, name string, all []time.Time) {
		for _, at := range all {
			when := l.cfg.Log.At(at)
			l.cfg.Log.Add(history.Op{Node: -1, Kind: kind, Key: name, Call: when, Return: when, Outcome: history.OK})
		}
	}
	for name, a := range l.cfg.World.Target.Accounts(l.accounts()) {
		note(history.Made, name, a.Made)
		note(history.Ended, name, a.Ended)
	}
}
