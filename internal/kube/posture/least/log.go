package least

import (
	"fmt"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Where are the namespaces of what a ClusterRoleBinding allowed, as an audit log shows, ""
// for the whole cluster, sorted.
func Where(p *access.Policy, name string, log *snapshot.Activity) []string {
	var out []string
	for _, b := range p.Bindings() {
		if b.Namespace != "" || b.Name != name {
			continue
		}
		for i := range log.Acts {
			if act := &log.Acts[i]; !slices.Contains(out, act.Namespace) && len(Who(b, act)) > 0 && Covers(b, act) {
				out = append(out, act.Namespace)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Weak is why a log may not show what is done: "" if nothing is known against it. It is to be
// of span, and until now.
func Weak(log *snapshot.Activity, now time.Time, span time.Duration) string {
	const day, fresh = 24 * time.Hour, 7 * 24 * time.Hour // what ended within a week is of now
	switch {
	case log.Lost > 0:
		return fmt.Sprintf("%d lines of the audit log could not be read, and may show what seems unused", log.Lost)
	case log.To.Sub(log.From) < span:
		return fmt.Sprintf("the audit log is of %d days, and what is used less often than in %d is not in it", int(log.To.Sub(log.From)/day), int(span/day))
	case now.Sub(log.To) > fresh:
		return fmt.Sprintf("the audit log ended %d days ago, and what was used since is not in it", int(now.Sub(log.To)/day))
	}
	return ""
}
