package sec01

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
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
	switch n := sinceThen(in, r); {
	case r.Clear > 0:
		v.Findings = append(slices.Clone(v.Findings), inStorage(r))
		if v.Answer != check.No {
			v.Answer, v.Needs = check.Partly, nil
			v.Summary = fmt.Sprintf("Of %d Secrets in etcd %d were not encrypted at %s, as a signed report says", r.Values, r.Clear, stamp(r.Time))
		}
		return v
	case v.Answer == check.No:
		return v
	case n > 0:
		return dealt(in, v, r, n)
	}
	return encryptedThen(in, v, r)
}

// sinceThen counts the Secrets that the API server which answered has read or written in clear
// and may have after the report: its counters begin with its process. One that began before
// the report may have met them before they were written again.
func sinceThen(in *check.Input, r *snapshot.Stored) float64 {
	if s := in.Control.Started; !s.IsZero() && s.Before(r.Time) {
		return 0
	}
	seen := count(in.Control.Transformations)
	return seen.reads[clear] + seen.writes[clear]
}

// dealt is the verdict where the API server has dealt with Secrets in clear that the report
// does not know: it makes nothing better.
func dealt(in *check.Input, v check.Verdict, r *snapshot.Stored, n float64) check.Verdict {
	since := "whose metrics do not tell since when it runs"
	if !in.Control.Started.IsZero() {
		since = "which runs since " + stamp(in.Control.Started)
	}
	v.Evidence = append(v.Evidence, check.Evidence{
		Object: server, Field: "process_start_time_seconds", Fact: fmt.Sprintf("%.0f Secrets were read or written in clear by the API server that answered, %s: the report, from %s, does not speak for them", n, since, stamp(r.Time)),
	})
	if v.Answer == check.Unknown {
		v.Needs = []string{"a report of strongkeep encryption report from now"}
		v.Summary = fmt.Sprintf("All %d Secrets in etcd were encrypted at %s, and the API server that answered has read or written %.0f in clear, perhaps since", r.Values, stamp(r.Time), n)
	}
	return v
}

// encryptedThen is the verdict where all Secrets in etcd were encrypted: yes if it is known that
// API servers write new ones so, by the report or by the file that was given.
func encryptedThen(in *check.Input, v check.Verdict, r *snapshot.Stored) check.Verdict {
	said, why := r.Configuration, cmp.Or(r.Why, "the report does not say")
	if at := in.Control.Reloaded; said == snapshot.Same && at.After(r.Time) {
		said, why = "", "the API server that answered took up its configuration at "+stamp(at)+", after the report"
	}
	same, known := control.InForce(&in.Control)
	file := in.Control.Encryption != nil && (same || !known)
	switch {
	case said == snapshot.Same || file && said != snapshot.Differs:
		v.Answer, v.Needs, v.Findings = check.Yes, nil, nil
		v.Summary = fmt.Sprintf("Secrets are encrypted: all %d in etcd were at %s, as a signed report says", r.Values, stamp(r.Time))
	case said == snapshot.Differs || v.Answer == check.Unknown:
		v.Answer, v.Needs = check.Unknown, OneConfiguration
		v.Summary = fmt.Sprintf("All %d Secrets in etcd were encrypted at %s; how the API servers write new ones is not known: %s", r.Values, stamp(r.Time), why)
	}
	return v
}

// OneConfiguration is what it takes where a report does not tell how API servers write.
var OneConfiguration = []string{"one configuration in force on all API servers, and a report from then that asks all of them (-server)"}

// inStorage is the finding that a report names values which are not encrypted.
func inStorage(r *snapshot.Stored) check.Finding {
	return check.Finding{
		Rule: "InClearInStorage", Severity: check.Critical, Object: snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}, Field: "etcd",
		Message:  fmt.Sprintf("%d Secrets lie in etcd in clear, or cannot be decrypted by anybody. Whoever reads etcd, its disk or a backup has those in clear", r.Clear),
		Affected: r.Names[:min(most, len(r.Names))], Count: r.Clear,
		Fix: check.Fix{Command: "strongkeep encryption rewrite -resource=secrets"},
	}
}
