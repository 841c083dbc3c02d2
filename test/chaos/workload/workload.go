package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
	"github.com/strongkeep/strongkeep/test/chaos/world"
)

// Config of a Run.
type Config struct {
	World *world.World
	Log   *history.Log
	Seed  uint64
	Name  string // a folder of kv/ that nobody else uses
	// Leases are asked for, too. A node whose clock is wrong ends them when that says so.
	Leases bool
}

// Load is the clients of one schedule.
type Load struct {
	cfg  Config
	keys []string
}

const (
	keys     = 4
	pause    = 15 * time.Millisecond
	patience = 2500 * time.Millisecond // for an answer
	// Some clients wait for longer than etcd does for a leader, so that it is told what became
	// of its writes. When the load ends it has the patience of others.
	long = 9 * time.Second
	// Some do not wait: of a node that is cut off they see what it still shows, whichever key that
	// is, while others hang for the first that it would have to ask for.
	short = 250 * time.Millisecond
)

// New makes the clients.
func New(cfg Config) *Load {
	l := &Load{cfg: cfg}
	for i := range keys {
		l.keys = append(l.keys, fmt.Sprintf("%s/k%d", cfg.Name, i))
	}
	return l
}

// Run has all clients ask until ctx ends, then waits for their last answers, patience at most.
func (l *Load) Run(ctx context.Context) {
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, end) })()
	within := func(d time.Duration) bound {
		return func() (context.Context, context.CancelFunc) { return context.WithTimeout(requests, d) }
	}
	var all sync.WaitGroup
	client := 0
	start := func(bounds bound, work func(context.Context, *asker)) {
		c := l.client(client)
		c.within = bounds
		client++
		all.Go(func() {
			defer c.close()
			for ctx.Err() == nil {
				work(ctx, c)
				rest(ctx, pause)
			}
		})
	}
	for n := range l.cfg.World.Nodes {
		start(within(patience), func(_ context.Context, c *asker) { c.keyOp(n) })
		start(within(long), func(_ context.Context, c *asker) { c.keyOp(n) })
		start(within(patience), func(_ context.Context, c *asker) { c.status(n); rest(ctx, 80*time.Millisecond) })
	}
	start(within(patience), l.tokenLife)
	start(within(patience), l.tokenLife)
	if l.cfg.Leases {
		for range leaseClients {
			start(within(patience), l.leaseLife)
		}
	}
	for n := range l.cfg.World.Nodes {
		start(within(short), func(ctx context.Context, c *asker) {
			l.cfg.Log.Add(c.read(n, l.keys[c.rand.IntN(keys)], false))
			rest(ctx, pause)
		})
	}
	all.Wait()
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// asker asks one thing at a time.
type asker struct {
	id    int
	load  *Load
	rand  *rand.Rand
	apis  []*world.API
	count int

	within bound // of a request
}

type bound func() (context.Context, context.CancelFunc)

func (l *Load) client(id int) *asker {
	c := &asker{id: id, load: l, within: soon, rand: rand.New(rand.NewPCG(l.cfg.Seed, uint64(id)))}
	for _, m := range l.cfg.World.Nodes {
		c.apis = append(c.apis, l.cfg.World.API(m))
	}
	return c
}

func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (c *asker) close() {
	for _, a := range c.apis {
		a.HTTP.CloseIdleConnections()
	}
}

// ask sends what o is and notes its times, index and outcome. A request goes on when the load ends.
func (c *asker) ask(o *history.Op, method, path string, body any, header ...string) world.Answer {
	log := c.load.cfg.Log
	if o.Indexed {
		if index := log.Index(); index != "" {
			header = append(header, "X-Vault-Index", index)
		} else {
			o.Indexed = false
		}
	}
	ctx, cancel := c.within()
	defer cancel()
	o.Client, o.Call = c.id, log.Now()
	a, err := c.apis[o.Node].Do(ctx, method, path, body, header...)
	if err == nil {
		err = log.Saw(a.Index)
	}
	o.Return = log.Now()
	o.Outcome, o.Detail = outcome(o.Kind, a, err)
	return a
}

// outcome of an answer. A server may say that it is not available when it does not know
// what became of a commit.
func outcome(kind history.Kind, a world.Answer, err error) (history.Outcome, string) {
	var unsent *world.NotSent
	switch {
	case errors.As(err, &unsent):
		return history.Failed, "not sent"
	case err != nil:
		return history.Unknown, err.Error()
	case a.Status < 300:
		return history.OK, ""
	}
	detail := fmt.Sprintf("%d %s", a.Status, strings.TrimSpace(string(a.Body)))
	switch {
	case kind == history.Use && a.Status == http.StatusForbidden:
		return history.Denied, detail
	case a.Status < 500:
		return history.Failed, detail
	}
	return history.Unknown, detail
}

// keyOp reads or writes a key, mostly at the client's own node.
func (c *asker) keyOp(home int) {
	node := home
	if c.rand.IntN(4) == 0 {
		node = c.rand.IntN(len(c.apis))
	}
	key := c.load.keys[c.rand.IntN(keys)]
	switch n := c.rand.IntN(10); {
	case n < 3:
		c.load.cfg.Log.Add(c.write(node, key, -1))
	case n < 5:
		r := c.read(node, key, true)
		c.load.cfg.Log.Add(r)
		if r.Outcome == history.OK {
			c.load.cfg.Log.Add(c.write(c.rand.IntN(len(c.apis)), key, r.Version))
		}
	default:
		c.load.cfg.Log.Add(c.read(node, key, n < 8))
	}
}

func (c *asker) write(node int, key string, cas int) history.Op {
	c.count++
	o := history.Op{Node: node, Kind: history.Write, Key: key, CAS: cas, Value: fmt.Sprintf("c%d-%d", c.id, c.count)}
	body := map[string]any{"data": map[string]string{"v": o.Value}}
	if cas >= 0 {
		body["options"] = map[string]int{"cas": cas}
	}
	a := c.ask(&o, http.MethodPost, "kv/data/"+key, body)
	if o.Outcome != history.OK {
		return o
	}
	var made struct {
		Data struct {
			Version int `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(a.Body, &made); err != nil || made.Data.Version == 0 {
		o.Outcome, o.Detail = history.Unknown, "an answer without a version"
	}
	o.Version = made.Data.Version
	return o
}

func (c *asker) read(node int, key string, indexed bool) history.Op {
	return c.get(history.Op{Node: node, Kind: history.Read, Key: key, Indexed: indexed}, "kv/data/"+key)
}

// get reads what path names. That there is nothing is an answer, if the mount says so.
func (c *asker) get(o history.Op, path string) history.Op {
	a := c.ask(&o, http.MethodGet, path, nil)
	var got struct {
		Errors []string `json:"errors"`
		Data   struct {
			Data     map[string]string `json:"data"`
			Metadata struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if a.Status != http.StatusOK && a.Status != http.StatusNotFound {
		return o
	}
	if err := json.Unmarshal(a.Body, &got); err != nil || len(got.Errors) > 0 {
		o.Outcome, o.Detail = history.Failed, fmt.Sprintf("%d %s", a.Status, a.Body)
		return o
	}
	o.Outcome, o.Version, o.Value = history.OK, got.Data.Metadata.Version, got.Data.Data["v"]
	return o
}

// status asks whether a node is sealed, which it says to anybody.
func (c *asker) status(node int) {
	process := c.load.cfg.World.Nodes[node].Process
	o := history.Op{Node: node, Kind: history.Status, Version: process.Starts()}
	a := c.ask(&o, http.MethodGet, "sys/seal-status", nil)
	var got struct {
		Sealed *bool `json:"sealed"`
	}
	switch err := json.Unmarshal(a.Body, &got); {
	case err != nil || got.Sealed == nil:
		o.Outcome = history.Failed
	case process.Starts() != o.Version:
		o.Outcome = history.Failed // of which start it is, is not known
	default:
		o.Sealed = *got.Sealed
	}
	c.load.cfg.Log.Add(o)
}

// Seal has an operator seal a node.
func (l *Load) Seal(_ context.Context, node int) {
	c := l.client(-1)
	defer c.close()
	process := l.cfg.World.Nodes[node].Process
	o := history.Op{Node: node, Kind: history.Seal, Version: process.Starts()}
	c.ask(&o, http.MethodPut, "sys/seal", nil)
	if process.Starts() != o.Version {
		o.Outcome = history.Unknown
	}
	l.cfg.Log.Add(o)
}
