package snapshots

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
)

// planRoutes are about snapshots by schedule, under the paths and names that people know.
func (c Config) planRoutes() []engine.Route {
	name := engine.Field{Name: "name", Type: engine.String, Help: "of the plan"}
	return []engine.Route{
		{
			Pattern: "storage/raft/snapshot-auto/config", ReadOnly: true, Sudo: true, Summary: "LIST: the plans by which snapshots are made.",
			Handlers: handlers{engine.List: listPlans},
		},
		{
			Pattern: "storage/raft/snapshot-auto/config/{name}", Sudo: true, Summary: "A plan by which snapshots are made, tried out and kept.",
			Fields:   append(timesFields(name), bucketFields()...),
			Handlers: handlers{engine.Read: readPlan, engine.Update: c.writePlan, engine.Delete: c.deletePlan},
		},
		{
			Pattern: "storage/raft/snapshot-auto/status/{name}", ReadOnly: true, Summary: "How a plan of snapshots is doing.",
			Fields:   []engine.Field{name},
			Handlers: handlers{engine.Read: c.status},
		},
		{
			Pattern: "storage/snapshots/run/{name}", Sudo: true, Summary: "Have the next snapshot of a plan made now.",
			Fields:   []engine.Field{name},
			Handlers: handlers{engine.Update: c.run},
		},
		{
			Pattern: "storage/snapshots/list/{name}", ReadOnly: true, Summary: "LIST: the snapshots of a plan, the newest last. Each was tried out.",
			Fields:   []engine.Field{name},
			Handlers: handlers{engine.List: c.files},
		},
	}
}

func timesFields(name engine.Field) []engine.Field {
	return []engine.Field{
		name,
		{Name: "interval", Type: engine.Duration, Help: "between two snapshots, a minute at least; or schedule"},
		{Name: "schedule", Type: engine.String, Help: "when a snapshot is made, as cron of five fields, such as \"0 3 * * *\""},
		{Name: "time_zone", Type: engine.String, Default: "UTC", Help: "of schedule, such as Europe/Berlin"},
		{Name: "jitter", Type: engine.Duration, Help: "how much later than schedule says at most; each vault has its own time within it"},
		{Name: "retain", Type: engine.Int, Default: "1", Help: "how many are kept"},
		{Name: "storage_type", Type: engine.String, Help: "local: below the server's snapshot_dir; or aws-s3, google-gcs, azure-blob"},
		{Name: "path_prefix", Type: engine.String, Help: "folder below snapshot_dir, or in the bucket"},
		{Name: "file_prefix", Type: engine.String, Default: "vault-snapshot", Help: "in front of the time in names"},
	}
}

func listPlans(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	names, err := tx.List(ctx, keeper.Prefix, "", 0)
	if err != nil {
		return nil, err
	}
	return keys(names)
}

// keys are an answer to LIST.
func keys(names []string) (*engine.Response, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return respond(map[string]any{"keys": names})
}

func readPlan(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if errs.Is(err, errs.NotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"interval": int64(p.Interval / time.Second), "schedule": p.Schedule, "time_zone": p.Zone, "jitter": int64(p.Jitter / time.Second), "retain": p.Retain, "storage_type": p.Kind, "path_prefix": p.Path, "file_prefix": p.File,
	}
	describeBucket(p.Bucket, data)
	return respond(data)
}

func (c Config) writePlan(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	p := keeper.Plan{
		Name: req.Params["name"], Interval: d.Duration("interval", 0), Schedule: d.String("schedule", ""), Zone: d.String("time_zone", ""), Jitter: d.Duration("jitter", 0), Retain: int(d.Int("retain", 1)),
		Kind: d.String("storage_type", ""), Path: d.String("path_prefix", ""), File: d.String("file_prefix", "vault-snapshot"),
	}
	p.Bucket = decodeBucket(&d, p.Kind)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := alone(ctx, tx, &p); err != nil {
		return nil, err
	}
	tx.Put(keeper.Prefix+p.Name, p.Encode())
	return c.wake(), nil
}

// alone returns Invalid if another plan keeps snapshots of the same names in the same place:
// each would take the other's for its own, and remove them.
func alone(ctx context.Context, tx engine.Tx, p *keeper.Plan) error {
	names, err := tx.List(ctx, keeper.Prefix, "", 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == p.Name {
			continue
		}
		other, err := keeper.Load(ctx, tx, name)
		if err != nil {
			return err
		}
		if other.Shares(p) {
			return errs.Newf(errs.Invalid, "the plan %q has the same path_prefix and file_prefix: each would remove the other's snapshots; choose another file_prefix", name)
		}
	}
	return nil
}

// wake has the keeper look, once the change is committed.
func (c Config) wake() *engine.Response {
	return &engine.Response{After: func(context.Context) error {
		c.Keeper.Wake()
		return nil
	}}
}

func (c Config) deletePlan(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if errs.Is(err, errs.NotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tx.Delete(keeper.Prefix + p.Name)
	tx.Delete(keeper.AskedPrefix + p.Name)
	return c.wake(), nil
}

func (c Config) status(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	if leader, known := c.Leader(); known && !leader.Self && leader.Leader.ID != "" {
		return respond(map[string]any{"made_here": false, "made_by": leader.Leader.Address})
	}
	s := c.Keeper.States()[p.Name]
	data := map[string]any{"made_here": true, "snapshots": s.Kept, "consecutive_errors": s.InARow, "last_error": s.Error}
	if !s.Proven.IsZero() {
		data["last_proven_time"], data["last_proven_name"] = s.Proven.UTC().Format(time.RFC3339), s.Name
	}
	if !s.Next.IsZero() {
		data["next_snapshot_time"] = s.Next.UTC().Format(time.RFC3339)
	}
	if n := s.Proof; n.Entries > 0 {
		data["last_proven_entries"], data["last_proven_mounts"], data["last_proven_tokens"], data["last_proven_leases"] = n.Entries, n.Mounts, n.Tokens, n.Leases
		data["last_proven_unsealed"] = n.Unsealed
	}
	if !s.Tried.IsZero() {
		data["last_attempt_time"] = s.Tried.UTC().Format(time.RFC3339)
	}
	return respond(data)
}

func (c Config) run(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	keeper.Ask(tx, p.Name, req.Time)
	return c.wake(), nil
}

func (c Config) files(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	at, err := c.Keeper.Place(ctx, p)
	if err != nil {
		return nil, err
	}
	names, err := p.Names(ctx, at)
	if err != nil {
		return nil, err
	}
	return keys(names)
}
