package diagnose

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"
)

// reachFor is how long another member's port may take to answer.
const reachFor = 2 * time.Second

// others looks whether the ports of a cluster's other members answer. Whether they have the
// same key only they can tell.
func (v *visit) others(ctx context.Context) {
	const question = "this node can be a member of its cluster"
	cfg, err := v.cfg.Server.Member()
	if err != nil {
		v.add(question, Failed, err.Error(), "correct the cluster_* settings (docs/operations/cluster.md)")
		return
	}
	v.ok(question, "it is %s, of a list of %d", cfg.Name, len(cfg.Peers))
	for _, p := range cfg.Peers {
		if p.Name != cfg.Name {
			v.reach(ctx, p.Name, p.URL)
		}
	}
}

func (v *visit) reach(ctx context.Context, name, at string) {
	question := "the member " + name + " can be reached"
	u, err := url.Parse(at)
	if err != nil {
		v.add(question, Failed, err.Error(), "correct cluster_members")
		return
	}
	began := time.Now()
	c, err := (&net.Dialer{Timeout: reachFor}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		v.add(question, Warning, err.Error(), "start it, or look at the network between them: a majority has to be there")
		return
	}
	_ = c.Close()
	v.ok(question, "%s, in %v", u.Host, time.Since(began).Round(time.Microsecond))
}

// quota says how full the member of the server that answers is, if it has one.
func (v *visit) quota(values map[string]float64) {
	limit, ok := values["strongkeep_cluster_quota_bytes"]
	if !ok {
		return
	}
	const question, next = "the cluster takes writes", "delete what is not needed, or raise cluster_quota on each node (docs/operations/cluster.md)"
	size := values["strongkeep_cluster_size_bytes"]
	detail := fmt.Sprintf("%s of %s used", gib(uint64(size)), gib(uint64(limit)))
	switch {
	case values["strongkeep_cluster_full"] == 1:
		v.add(question, Failed, detail+"; a member is out of space", next)
	case values["strongkeep_cluster_has_leader"] == 0:
		v.add(question, Failed, detail+"; it has no leader", "bring a majority of its members back: strongkeep operator members list -config=FILE says which answer")
	case size >= limit/5*4:
		v.add(question, Warning, detail+", over 80 % of its quota", next)
	default:
		v.ok(question, "%s", detail)
	}
}
