package sec14

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-14"

// Check returns the check.
func Check() check.Check {
	return check.Check{
		ID: ID, Title: "Access to Secrets is regularly reviewed, and unused permissions are removed",
		Needs: []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "namespaces", "secrets"}, Judge: judge,
	}
}

func judge(in *check.Input) check.Verdict {
	reviews := reviewed(in)
	v := check.Verdict{Evidence: reviews.evidence, Findings: reviews.findings, Needs: reviews.needs}
	said := fmt.Sprintf("%d of %d namespaces with Secrets were reviewed within %d days", reviews.good, reviews.all, int(in.Settings.Review/day))
	a := in.Activity
	if a == nil {
		v.Answer, v.Summary = check.Unknown, said+"; which permissions are used is not known"
		v.Needs = append(v.Needs, "--audit-log FILE: the API server's audit log, of "+days(in)+" or more")
		return v
	}
	v.Evidence = append(v.Evidence, check.Evidence{Field: a.Place, Fact: fmt.Sprintf("shows %d requests' kinds from %s to %s; %d lines could not be read", len(a.Acts), a.From.UTC().Format("2006-01-02"), a.To.UTC().Format("2006-01-02"), a.Lost)})
	w := newWeighing(in)
	unused, rights := w.unusedRights()
	v.Findings = append(v.Findings, unused...)
	said += fmt.Sprintf("; %d of %d grants on Secrets have rights that were not used in %d days", len(unused), rights, int(a.To.Sub(a.From)/day))
	v.Summary = said
	if len(unused) > 0 {
		v.Needs = append(v.Needs, w.weak...)
	}
	switch {
	case reviews.good < reviews.all && reviews.good == 0:
		v.Answer = check.No
	case reviews.good < reviews.all || len(unused) > 0 && len(w.weak) == 0:
		v.Answer = check.Partly
	case len(unused) > 0:
		v.Answer = check.Unknown
	default:
		v.Answer = check.Yes // whatever else the log does not show
	}
	return v
}

// fresh is how long ago a log may have ended that is taken for one until now.
const fresh = 7 * day

// weak is why what a log does not show may have been done all the same.
func weak(in *check.Input) []string {
	a := in.Activity
	var out []string
	if a.To.Sub(a.From) < in.Settings.Unused {
		out = append(out, "an audit log of "+days(in)+": what was not used in a shorter time may be used yet")
	}
	if ago := in.Now.Sub(a.To); ago > fresh {
		out = append(out, fmt.Sprintf("an audit log until now: this one ended %d days ago, and what was not used before may have been since", int(ago/day)))
	}
	if a.Lost > 0 {
		out = append(out, fmt.Sprintf("an audit log without holes: %d lines could not be read, and may show what seems unused", a.Lost))
	}
	return out
}

func days(in *check.Input) string { return fmt.Sprintf("%d days", int(in.Settings.Unused/day)) }

// reviews is what annotations say.
type reviews struct {
	all, good int
	evidence  []check.Evidence
	findings  []check.Finding
	needs     []string
}

// reviewed looks at each namespace that has Secrets.
func reviewed(in *check.Input) reviews {
	var out reviews
	has := map[string]int{}
	for i := range in.Secrets {
		has[in.Secrets[i].Namespace]++
	}
	for i := range in.Namespaces {
		n := &in.Namespaces[i]
		secrets := has[n.Name]
		delete(has, n.Name)
		if secrets == 0 || n.Terminating {
			continue
		}
		out.all++
		object := snapshot.Ref{Kind: "Namespace", Name: n.Name}
		r, ok := ParseReview(n.Annotations[Annotation])
		switch age := in.Now.Sub(r.At); {
		case n.Annotations[Annotation] == "":
			out.findings = append(out.findings, missing(object, "NotReviewed", fmt.Sprintf("Nothing says that access to its %d Secrets was ever reviewed", secrets)))
		case !ok || age < 0:
			out.findings = append(out.findings, missing(object, "NotReviewed", "The record of a review cannot be read: it is \"TIME by NAME\", with a time in RFC 3339 that is not to come"))
		case age > in.Settings.Review:
			out.findings = append(out.findings, missing(object, "ReviewedLongAgo", fmt.Sprintf("Access to its %d Secrets was last reviewed %d days ago", secrets, int(age/day))))
		default:
			out.good++
			out.evidence = append(out.evidence, check.Evidence{Object: object, Field: "metadata.annotations[" + Annotation + "]", Fact: fmt.Sprintf("reviewed at %s by %s", r.At.UTC().Format("2006-01-02"), r.By)})
		}
	}
	if unknown := slices.Sorted(maps.Keys(has)); len(unknown) > 0 { // files may have Secrets alone
		out.needs = []string{fmt.Sprintf("the Namespace objects of %s: a review is recorded there", short(unknown))}
	}
	return out
}

// short names a few.
func short(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more namespaces", strings.Join(names[:most], ", "), len(names)-most)
}

func missing(object snapshot.Ref, rule, message string) check.Finding {
	return check.Finding{
		Rule: rule, Severity: check.Low, Object: object, Field: "metadata.annotations[" + Annotation + "]",
		Message: message + ". Look at who-can of each; when it is as it should be, record it",
		Fix:     check.Fix{Command: Record(object.Name)},
	}
}

// Record is the command that records a review of a namespace.
func Record(namespace string) string {
	return check.Command("kubectl annotate namespace %s --overwrite ", namespace) + Annotation + `="$(date -u +%Y-%m-%dT%H:%M:%SZ) by $USER"`
}

// join is a list for people.
func join(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}
