package sec01

import (
	"fmt"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ahead is how much later than ours the clock of who made a report may be.
const ahead = 5 * time.Minute

// Usable returns the report of what lies in etcd, if it counts: it is of this cluster, of its
// running etcd, and fresh. Else why it does not; "" if none was given.
func Usable(in *check.Input) (_ *snapshot.Stored, why string) {
	r := in.Control.Stored
	if r == nil {
		return nil, ""
	}
	i := slices.IndexFunc(in.Namespaces, func(n snapshot.Namespace) bool { return n.Name == "kube-system" })
	switch {
	case !in.Live:
		return nil, "files say nothing of which cluster they are for"
	case i < 0 || in.Namespaces[i].UID == "":
		return nil, "it is not known whether it is of this cluster: its namespace kube-system was not read"
	case in.Namespaces[i].UID != r.Cluster:
		return nil, "it is of another cluster"
	case !r.Current:
		return nil, "it does not say that it read the running etcd of its cluster, but perhaps an old copy"
	case r.Time.After(in.Now.Add(ahead)):
		return nil, "it is from the future, " + stamp(r.Time) + ": one of two clocks is wrong"
	case in.Now.Sub(r.Time) > in.Settings.Report:
		return nil, fmt.Sprintf("it is from %s, and counts for %s (--encryption-report-age)", stamp(r.Time), in.Settings.Report)
	case r.Values == 0:
		return nil, "it has no value of secrets"
	}
	return r, ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// reported weighs a verdict against what was read in etcd. A report makes an answer better
// only where nothing says that Secrets are written in clear now, and worse always.
func reported(in *check.Input, v check.Verdict) check.Verdict {
	r, why := Usable(in)
	if why != "" {
		v.Evidence = append(slices.Clone(v.Evidence), check.Evidence{Field: in.Control.Stored.Place, Fact: "this report of what lies in etcd does not count: " + why})
		return v
	}
	if r == nil {
		return v
	}
	v.Evidence = append(slices.Clone(v.Evidence), check.Evidence{
		Field: r.Place, Fact: fmt.Sprintf("signed by key %.16s, digest %s: of %d Secrets in etcd at %s, %d were not encrypted", r.KeyID, r.Digest, r.Values, stamp(r.Time), r.Clear),
	})
	switch {
	case r.Clear > 0:
		v.Findings = append(slices.Clone(v.Findings), inStorage(r))
		if v.Answer != check.No {
			v.Answer, v.Needs = check.Partly, nil
			v.Summary = fmt.Sprintf("Of %d Secrets in etcd %d were not encrypted at %s, as a signed report says", r.Values, r.Clear, stamp(r.Time))
		}
	case v.Answer == check.No:
	case r.Differ != "":
		v.Answer, v.Needs = check.Unknown, []string{"one configuration in force on all API servers, and a report from then"}
		v.Summary = fmt.Sprintf("All %d Secrets in etcd were encrypted at %s; how the API servers write new ones is not known: %s", r.Values, stamp(r.Time), r.Differ)
	default:
		v.Answer, v.Needs, v.Findings = check.Yes, nil, nil
		v.Summary = fmt.Sprintf("Secrets are encrypted: all %d in etcd were at %s, as a signed report says", r.Values, stamp(r.Time))
	}
	return v
}

// inStorage is the finding that a report names values which are not encrypted.
func inStorage(r *snapshot.Stored) check.Finding {
	return check.Finding{
		Rule: "InClearInStorage", Severity: check.Critical, Object: snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}, Field: "etcd",
		Message:  fmt.Sprintf("%d Secrets lie in etcd in clear, or cannot be decrypted by anybody. Whoever reads etcd, its disk or a backup has those in clear", r.Clear),
		Affected: r.Names[:min(most, len(r.Names))], Count: r.Clear,
		Fix: check.Fix{Command: "strongkeep encryption rewrite -resource=secrets"},
	}
}
