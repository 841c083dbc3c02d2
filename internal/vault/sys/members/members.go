package members

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// Cluster is what this server is a member of: a member.Member.
type Cluster interface {
	Standings(ctx context.Context) ([]member.Standing, error)
	Remove(ctx context.Context, name string) error
	Health() member.Health
}

// Routes are those below sys/.
func Routes(c Cluster) []engine.Route {
	type handlers = map[engine.Operation]engine.Handler
	s := server{c}
	return []engine.Route{
		{
			Pattern: "storage/raft/configuration", Sudo: true, ReadOnly: true, Summary: "The members of the cluster that the servers form.",
			Handlers: handlers{engine.Read: s.configuration},
		},
		{
			Pattern: "storage/raft/remove-peer", Sudo: true, Summary: "Take a member out of the cluster for good.",
			Fields:   []engine.Field{{Name: "server_id", Type: engine.String, Help: "the member's name"}},
			Handlers: handlers{engine.Update: s.remove},
		},
		{
			Pattern: "storage/raft/autopilot/state", Sudo: true, ReadOnly: true, Summary: "Whether all members are there, and how many may fail.",
			Handlers: handlers{engine.Read: s.state},
		},
	}
}

type server struct{ cluster Cluster }

func name(p member.Standing) string {
	if p.Name == "" {
		return fmt.Sprintf("%x", p.ID) // it has not started yet
	}
	return p.Name
}

func address(p member.Standing) string {
	if len(p.URLs) == 0 {
		return ""
	}
	return strings.TrimPrefix(p.URLs[0], "https://")
}

func (s server) configuration(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	all, err := s.cluster.Standings(ctx)
	if err != nil {
		return nil, err
	}
	servers := make([]any, len(all))
	for i, p := range all {
		servers[i] = map[string]any{
			"node_id": name(p), "address": address(p), "leader": p.Leader, "voter": !p.Learner, "protocol_version": "3", "healthy": p.There,
		}
	}
	return s.respond(map[string]any{"config": map[string]any{"index": 0, "servers": servers}})
}

// remove acts after the commit: a request that is not audited must not change anything.
func (s server) remove(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	id := d.String("server_id", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if id == "" {
		return nil, errs.New(errs.Invalid, "missing server_id: the name of the member to remove")
	}
	return &engine.Response{After: func(ctx context.Context) error { return s.cluster.Remove(ctx, id) }}, nil
}

// state has what is known of autopilot's; what etcd does not tell is absent.
func (s server) state(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	all, err := s.cluster.Standings(ctx)
	if err != nil {
		return nil, err
	}
	there, total, lead := 0, 0, ""
	voters, servers := []string{}, map[string]any{}
	for _, p := range all {
		status, kind := "voter", "voter"
		switch {
		case p.Leader:
			status, lead = "leader", name(p)
		case p.Learner:
			status, kind = "non-voter", "non-voter"
		}
		if !p.Learner {
			voters = append(voters, name(p))
			total++
			if p.There {
				there++
			}
		}
		alive := "alive"
		if !p.There {
			alive = "failed"
		}
		servers[name(p)] = map[string]any{
			"id": name(p), "name": name(p), "address": address(p), "node_status": alive, "healthy": p.There, "status": status, "node_type": kind,
		}
	}
	h := s.cluster.Health()
	return s.respond(map[string]any{
		"healthy": there == total && !h.Full() && !h.Corrupt, "failure_tolerance": max(0, there-total/2-1), "leader": lead, "voters": voters, "servers": servers,
	})
}

func (s server) respond(data any) (*engine.Response, error) {
	encoded, err := engine.JSON(data)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: encoded, Warnings: s.cluster.Health().Warnings()}, nil
}
