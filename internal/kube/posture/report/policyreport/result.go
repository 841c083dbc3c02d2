package policyreport

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// result is one of a report, in the shape that both families have.
type result struct {
	Source     string                   `json:"source"`
	Policy     string                   `json:"policy"`
	Rule       string                   `json:"rule,omitempty"`
	Category   string                   `json:"category"`
	Severity   string                   `json:"severity,omitempty"`
	Timestamp  moment                   `json:"timestamp"`
	Result     string                   `json:"result"`
	Scored     bool                     `json:"scored"`
	Resources  []corev1.ObjectReference `json:"resources,omitempty"`
	Message    string                   `json:"message"`
	Properties map[string]string        `json:"properties,omitempty"`
}

type moment struct {
	Seconds int64 `json:"seconds"`
	Nanos   int32 `json:"nanos"`
}

// What a result says.
const (
	pass  = "pass"
	fail  = "fail"
	warn  = "warn"
	wrong = "error"
	skip  = "skip"
)

const (
	source   = "strongkeep"
	category = "Secrets"
	// maxMessage and maxNames bound a message, in bytes, and the names in one property.
	maxMessage = 1000
	maxNames   = 10
)

func at(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{Seconds: t.Unix()}
}

// cut is text without what is too long, and not within a character.
func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// ofAnswer is the result of a question. Only yes is a pass: a question that was tried and
// could not be answered is an error, one that nobody gave what it takes is skipped.
func ofAnswer(r *check.Result, since time.Time, tried bool) result {
	out := result{
		Source: source, Policy: r.ID, Rule: "Answer", Category: category, Timestamp: at(since),
		Properties: map[string]string{"answer": string(r.Answer), "question": r.Title},
	}
	text := []string{string(r.Answer)}
	if r.Summary != "" {
		text = append(text, r.Summary)
	}
	if len(r.Needs) > 0 {
		text = append(text, "needs: "+strings.Join(r.Needs, "; "))
	}
	out.Message = cut(strings.Join(text, ": "))
	switch {
	case r.Answer == check.Yes:
		out.Result, out.Scored = pass, true
	case r.Answer == check.No:
		out.Result, out.Scored, out.Severity = fail, true, string(severest(r))
	case r.Answer == check.Partly:
		out.Result, out.Severity = warn, string(severest(r))
	case tried:
		out.Result = wrong
	default:
		out.Result = skip
	}
	return out
}

// severest is that of the worst finding of r that counts; medium without one.
func severest(r *check.Result) check.Severity {
	worst, found := check.Info, false
	for i := range r.Findings {
		if m := &r.Findings[i]; m.Excepted == nil && m.Severity.AtLeast(worst) {
			worst, found = m.Severity, true
		}
	}
	if !found {
		return check.Medium
	}
	return worst
}

// ofFinding is the result of a finding. One that is excepted is skipped, and says by whom
// and until when; what is told for information is a warning.
func ofFinding(m *check.Marked) result {
	out := result{
		Source: source, Policy: m.Check, Rule: m.Rule, Category: category, Severity: string(m.Severity), Timestamp: at(m.First),
		Result: fail, Scored: true, Message: cut(m.Message), Properties: map[string]string{"fingerprint": m.Fingerprint},
	}
	if m.Object.Kind != "" {
		out.Resources = []corev1.ObjectReference{reference(m.Object)}
	}
	set := func(key, value string) {
		if value != "" {
			out.Properties[key] = cut(value)
		}
	}
	set("field", m.Field)
	set("command", m.Fix.Command)
	set("fix", m.Fix.Text)
	if m.Fix.Patch != "" {
		set("fix", "strongkeep check -only="+m.Check+" -all shows a patch")
	}
	set("affected", affected(m.Affected, m.Count))
	if m.Severity == check.Info {
		out.Result, out.Scored = warn, false
	}
	if e := m.Excepted; e != nil {
		out.Result, out.Scored = skip, false
		set("accepted-by", e.Owner)
		set("accepted-until", lastDay(e.Until))
		set("accepted-for", e.Reason)
	}
	return out
}

// lastDay is the last day of an exception, which ends where the next begins.
func lastDay(until time.Time) string {
	return until.UTC().Add(-time.Nanosecond).Format(time.DateOnly)
}

func affected(names []string, count int) string {
	count = max(count, len(names))
	switch {
	case len(names) == 0 && count == 0:
		return ""
	case len(names) == 0:
		return fmt.Sprint(count)
	case count > maxNames:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:min(len(names), maxNames)], ", "), count-min(len(names), maxNames))
	}
	return strings.Join(names, ", ")
}

// ofEnded is the result of an exception whose day has come.
func ofEnded(e *check.Exception) result {
	about := e.Check
	if about == "" {
		about = e.Fingerprint
	}
	return result{
		Source: source, Policy: about, Rule: "ExceptionEnded", Category: category, Severity: string(check.Medium), Timestamp: at(e.Until), Result: warn,
		Message:    cut("The exception of " + e.Owner + " has ended with " + lastDay(e.Until) + ": its findings count again. Mend them, or have somebody accept them anew"),
		Properties: map[string]string{"accepted-by": e.Owner, "accepted-for": cut(e.Reason), "accepted-until": lastDay(e.Until)},
	}
}

// versions are those of groups that have one for good. Findings know groups only.
var versions = map[string]string{
	"": "v1", "apps": "apps/v1", "batch": "batch/v1", "networking.k8s.io": "networking.k8s.io/v1", "rbac.authorization.k8s.io": "rbac.authorization.k8s.io/v1",
	"admissionregistration.k8s.io": "admissionregistration.k8s.io/v1", "external-secrets.io": "external-secrets.io/v1", "cert-manager.io": "cert-manager.io/v1",
}

func reference(r snapshot.Ref) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: versions[r.Group], Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}
