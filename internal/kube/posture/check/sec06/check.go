// Package sec06 asks whether credentials are changed by machines, and in time.
// docs/checks/SEC-06.md.
package sec06

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-06.
func Check() check.Check {
	return check.Check{
		ID: "SEC-06", Title: "Secret rotation is automated: no long-lived static credentials exist",
		Needs: []string{"secrets", "sources", "workloads", "pods"},
		Judge: judge,
	}
}

type judgement struct {
	in      *check.Input
	rotated map[path.Name]*snapshot.Source // by the Secrets that a Rotation is about
	turned  map[string][]*snapshot.Source  // Rotations, by their places in stores
	states  map[*snapshot.Source]state     // of Rotations
	out     check.Verdict
	n       struct{ asked, automatic, young, old, ageless, unproven int }
}

func judge(in *check.Input) check.Verdict {
	j := &judgement{in: in, rotated: map[path.Name]*snapshot.Source{}, turned: map[string][]*snapshot.Source{}, states: map[*snapshot.Source]state{}}
	for i := range in.Sources {
		if s := &in.Sources[i]; s.Group == "strongkeep.io" && s.Kind == "Rotation" {
			j.rotation(s)
		}
	}
	for i := range in.Secrets {
		// Certificates are asked about in SEC-07.
		if s := &in.Secrets[i]; origin.Credential(s) && !origin.OnlyTLS(s) {
			j.secret(s)
		}
	}
	for i := range in.Sources {
		j.refresh(&in.Sources[i])
	}
	j.consumers()
	return j.verdict()
}

func (j *judgement) verdict() check.Verdict {
	v, n := j.out, j.n
	days := int(j.in.Settings.MaxAge / (24 * time.Hour))
	v.Summary = fmt.Sprintf("credentials: %d; rotated by a machine: %d; of the others older than %s: %d, younger: %d, of unknown age: %d",
		n.asked, n.automatic, check.Count(days, "day"), n.old, n.young, n.ageless)
	serious := slices.ContainsFunc(v.Findings, func(f check.Finding) bool { return f.Severity.AtLeast(check.Medium) })
	switch old := n.old > 0 && n.young == 0; {
	case old && n.automatic == 0:
		v.Answer = check.No
	case serious || n.young+n.old > 0:
		v.Answer = check.Partly
	case n.unproven > 0:
		v.Answer, v.Needs = check.Unknown, []string{"the status of " + check.Count(n.unproven, "Rotation") + ", which manifests do not have: a cluster, or a dump of one"}
	case n.ageless > 0:
		v.Answer, v.Needs = check.Unknown, []string{"when " + check.Count(n.ageless, "Secret") + " changed: their managedFields do not say"}
	default:
		v.Answer = check.Yes
	}
	return v
}

func refOf(s *snapshot.Source) snapshot.Ref {
	return snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}

// dynamic are sources whose values end by themselves.
var dynamic = map[string]bool{"VaultDynamicSecret": true, "VaultPKISecret": true, "Certificate": true}

// copies bounds a chain of copies, which might be a circle.
const copies = 5

// automatic reports whether s changes by itself. A copy does if what it is copied from
// does.
func (j *judgement) automatic(s *snapshot.Secret) bool {
	for range copies {
		if j.changes(s) {
			return true
		}
		o := j.in.Index.Origins.Secret(s)
		if o.Kind != origin.Mirror || o.By.Kind != "Secret" {
			return false
		}
		if s = j.in.Index.Secrets[path.Name{Namespace: o.By.Namespace, Name: o.By.Name}]; s == nil {
			return false
		}
	}
	return false
}

// changes reports whether something here changes s itself.
func (j *judgement) changes(s *snapshot.Secret) bool {
	name := path.Name{Namespace: s.Namespace, Name: s.Name}
	if r := j.rotated[name]; r != nil && j.states[r] == turning {
		return true
	}
	for _, m := range j.in.Index.Origins.Makers(origin.Ref(s)) {
		if dynamic[m.Kind] || m.Generator && m.Interval > 0 {
			return true
		}
		for _, r := range m.Remote { // another Secret of the same credential is rotated
			if r := j.turns(m.Store, r.Path); r != nil && j.states[r] == turning {
				return true
			}
		}
	}
	return j.in.Index.Origins.Secret(s).Kind == origin.Issuer
}

// secret judges one credential.
func (j *judgement) secret(s *snapshot.Secret) {
	j.n.asked++
	o := j.in.Index.Origins.Secret(s)
	if j.automatic(s) || o.Kind.MadeUp() && fresh(s, j.in) {
		j.n.automatic++
		return
	}
	age, held := j.in.Now.Sub(s.Changed), j.held(s)
	f := check.Finding{Object: origin.Ref(s), Place: s.Place}
	f.Affected, f.Count = j.users(s)
	if held == unproven || !j.age(s) || held == stalled { // of the last the Rotation has the finding
		return
	}
	switch {
	case age <= j.in.Settings.MaxAge:
		f.Rule, f.Severity = "NothingRotates", check.Low
		f.Message = fmt.Sprintf("%s; it is %s old", nothing(held), span(age))
	case o.Kind == origin.Store || o.Kind == origin.Generator:
		f.Rule, f.Severity = "OldInStore", check.Medium
		f.Message = fmt.Sprintf("%s has not changed it for %s, and here %s", o.Said(), span(age), nothing(held))
	default:
		f.Rule, f.Severity = "OldCredential", check.High
		f.Message = fmt.Sprintf("it has not changed for %s, and %s", span(age), nothing(held))
	}
	f.Fix = check.Fix{Patch: rotate(j.in, s)}
	if held == reminder {
		f.Fix = check.Fix{Text: "Give its Rotation a target that needs nobody: docs/rotation.md has them."}
	}
	j.out.Findings = append(j.out.Findings, f)
}

// age counts s by its age, and reports whether that is known.
func (j *judgement) age(s *snapshot.Secret) bool {
	switch {
	case s.Changed.IsZero():
		j.n.ageless++
		return false
	case fresh(s, j.in):
		j.n.young++
	default:
		j.n.old++
	}
	return true
}

// nothing says who rotates a credential that no machine does.
func nothing(held state) string {
	if held == reminder {
		return "a Rotation reminds people to rotate it, which no machine does"
	}
	return "nothing rotates it"
}

func fresh(s *snapshot.Secret, in *check.Input) bool {
	return !s.Changed.IsZero() && in.Now.Sub(s.Changed) <= in.Settings.MaxAge
}

// refresh finds sources that never look again.
func (j *judgement) refresh(s *snapshot.Source) {
	if s.Kind != "ExternalSecret" || s.Generator {
		return
	}
	f := check.Finding{Object: refOf(s), Place: s.Place}
	switch {
	case s.Interval == 0:
		f.Rule, f.Severity, f.Field = "NeverRefreshed", check.Medium, "spec.refreshInterval"
		f.Message = "it does not look again: what is rotated in the store does not come here"
		f.Fix = check.Fix{Command: check.Command(`kubectl patch externalsecret -n %s %s --type=merge -p '{"spec":{"refreshPolicy":"Periodic","refreshInterval":"1h"}}'`, s.Namespace, s.Name)}
	case s.Interval > j.in.Settings.MaxAge:
		f.Rule, f.Severity, f.Field = "SeldomRefreshed", check.Low, "spec.refreshInterval"
		f.Message = fmt.Sprintf("it looks every %s only", span(s.Interval))
		f.Fix = check.Fix{Command: check.Command(`kubectl patch externalsecret -n %s %s --type=merge -p '{"spec":{"refreshInterval":"1h"}}'`, s.Namespace, s.Name)}
	case s.Ready == "False":
		f.Rule, f.Severity = "NotSynced", check.Medium
		f.Message = "it is not ready (" + s.Reason + "): what is rotated in the store does not come here"
		f.Fix = check.Fix{Command: check.Command("strongkeep explain externalsecret -n %s %s", s.Namespace, s.Name)}
	default:
		return
	}
	j.out.Findings = append(j.out.Findings, f)
}

// consumers finds workloads that would keep an old value when a Secret that
// changes by itself does.
func (j *judgement) consumers() {
	for _, h := range j.in.Holders() {
		if h.Ref.Kind == "Job" || h.Ref.Kind == "CronJob" {
			continue // the next run has the new value
		}
		names := map[string]bool{}
		for i := range h.Template.Secrets {
			u := &h.Template.Secrets[i]
			if u.Init || !u.Kind.Static() || names[u.Secret] {
				continue
			}
			names[u.Secret] = true
			j.stuck(&h, u)
		}
	}
}

// stuck finds a use whose Secret changes by itself, and that nothing restarts for.
func (j *judgement) stuck(h *check.Holder, u *consumer.Use) {
	name := path.Name{Namespace: h.Ref.Namespace, Name: u.Secret}
	s := j.in.Index.Secrets[name]
	if s == nil || reloads(h, u.Secret) || j.rotated[name] != nil || !j.follows(s) {
		return
	}
	field := h.Spec
	if u.Container != "" {
		field = h.Container(u.Container)
	}
	j.out.Findings = append(j.out.Findings, check.Finding{
		Rule: "DoesNotReload", Severity: check.Medium, Object: h.Ref, Field: field + "." + string(u.Kind) + "[" + u.Secret + "]", Place: h.Place,
		Message:  fmt.Sprintf("it has Secret %s by %s, which a running container does not see change, and nothing restarts it", u.Secret, u.Kind),
		Affected: []string{"Secret " + s.Namespace + "/" + s.Name}, Count: 1, Fix: reload(h),
	})
}

// follows reports whether the content of s changes without a person.
func (j *judgement) follows(s *snapshot.Secret) bool {
	return j.automatic(s) || j.in.Index.Origins.Managed(s)
}

func reload(h *check.Holder) check.Fix {
	if h.Ref.Kind == "Pod" {
		return check.Fix{Text: "Have a Deployment make this pod, and annotate that with strongkeep.io/reload=restart."}
	}
	return check.Fix{Command: check.Command("kubectl annotate %s -n %s %s strongkeep.io/reload=restart", strings.ToLower(h.Ref.Kind), h.Ref.Namespace, h.Ref.Name)}
}

// reloads reports whether something restarts h when secret changes.
func reloads(h *check.Holder, secret string) bool {
	switch h.Annotations["strongkeep.io/reload"] {
	case "restart", "auto", "signal":
		return true
	case "none":
		return false
	}
	for _, key := range []string{"reloader.stakater.com/auto", "secret.reloader.stakater.com/auto", "reloader.stakater.com/search"} {
		if h.Annotations[key] == "true" {
			return true
		}
	}
	for name := range strings.SplitSeq(h.Annotations["secret.reloader.stakater.com/reload"], ",") {
		if strings.TrimSpace(name) == secret {
			return true
		}
	}
	return false
}

func (j *judgement) users(s *snapshot.Secret) ([]string, int) {
	var out []string
	for _, w := range j.in.Index.Workloads[path.Name{Namespace: s.Namespace, Name: s.Name}] {
		out = append(out, w.Kind+" "+w.Namespace+"/"+w.Name)
	}
	return check.Names(out)
}

// rotate is a Rotation that asks people for a new value in time, to begin with.
func rotate(in *check.Input, s *snapshot.Secret) string {
	kind, store := in.Index.Origins.StoreFor(s.Namespace)
	return fmt.Sprintf(`# This one reminds people and proves the rest; docs/rotation.md has the targets that need nobody.
apiVersion: strongkeep.io/v1alpha1
kind: Rotation
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  target:
    storeRef: {kind: %[3]s, name: %[4]s}
    manual: {path: %[5]s}
  schedule: {maxAge: 2160h}
`, check.Scalar(s.Namespace), check.Scalar(s.Name), check.Scalar(kind), check.Scalar(store), check.Scalar(s.Namespace+"/"+s.Name))
}

// span is a time in days or, if it is short, hours.
func span(d time.Duration) string {
	if days := int(d / (24 * time.Hour)); days > 1 {
		return check.Count(days, "day")
	}
	return check.Count(int(d/time.Hour), "hour")
}
