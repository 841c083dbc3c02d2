package diagnose

import (
	"context"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

const slowEtcd = 100 * time.Millisecond

// etcd asks each endpoint.
func (v *visit) etcd(ctx context.Context) {
	all, err := app.InspectEtcd(ctx, &v.cfg.Server)
	if err != nil {
		v.add("etcd can be asked", Failed, err.Error(), "correct the etcd_* settings (docs/stores.md)")
		return
	}
	reached := 0
	for i := range all {
		if all[i].Err == nil || all[i].Took > 0 {
			reached++
		}
	}
	for i := range all {
		v.member(&all[i], reached)
	}
}

// member judges one endpoint: one that is away is a warning as long as others answer.
func (v *visit) member(h *etcd.Health, reached int) {
	question := "etcd at " + h.Endpoint + " is well"
	next := "etcdctl --endpoints=" + h.Endpoint + " endpoint status --write-out=table"
	detail := fmt.Sprintf("version %s, %s of %s used, answers in %v", h.Version, gib(uint64(h.Size)), quota(h.Quota), h.Took.Round(time.Microsecond))
	switch {
	case h.Err != nil && h.Took > 0:
		v.add(question, Unknown, fmt.Sprintf("it answers in %v, and does not tell more: %v", h.Took.Round(time.Microsecond), h.Err), next)
	case h.Err != nil && reached > 0:
		v.add(question, Warning, h.Err.Error(), next)
	case h.Err != nil:
		v.add(question, Failed, h.Err.Error(), next)
	case !v.faulty(h, question, detail):
		v.slow(h, question, detail)
	}
}

// faulty judges what keeps a member from being used.
func (v *visit) faulty(h *etcd.Health, question, detail string) bool {
	switch {
	case h.Old:
		v.add(question, Failed, "it is of version "+h.Version+", which is too old", "upgrade it to 3.5.8 or newer")
	case len(h.Alarms) > 0:
		v.add(question, Failed, detail+"; alarms: "+join(h.Alarms), "compact, defragment, then etcdctl alarm disarm (docs/stores.md)")
	case !h.Leader:
		v.add(question, Failed, detail+"; it has no leader", "bring a majority of its members back")
	default:
		return false
	}
	return true
}

// slow judges what will keep it from being used, or keeps others waiting.
func (v *visit) slow(h *etcd.Health, question, detail string) {
	switch {
	case h.Quota > 0 && h.Size > h.Quota/5*4:
		v.add(question, Warning, detail+", over 80 % of its quota", "compact and defragment, or raise --quota-backend-bytes")
	case h.Took > slowEtcd:
		v.add(question, Warning, detail, "look at its disk and the network: etcdctl check perf")
	case h.Learner:
		v.add(question, Warning, detail+"; it is a learner and has no vote", "etcdctl member promote")
	default:
		v.ok(question, "%s", detail)
	}
}

func quota(n int64) string {
	if n <= 0 {
		return "a quota that it does not tell"
	}
	return gib(uint64(n))
}
