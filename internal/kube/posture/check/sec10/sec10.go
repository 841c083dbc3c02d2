package sec10

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-10"

// Check returns the check.
func Check() check.Check {
	return check.Check{ID: ID, Title: "Audit logging is enabled, covers all access to Secrets, and holds no values", Judge: judge}
}

var (
	server = snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}
	object = snapshot.Ref{Group: "audit.k8s.io", Kind: "Policy", Name: "audit-policy"}
)

func judge(in *check.Input) check.Verdict {
	off, on := servers(in)
	if len(off) > 0 {
		return check.Verdict{
			Answer: check.No, Evidence: append(off, on...), Summary: fmt.Sprintf("%d of %d API servers log nothing", len(off), len(in.Control.Servers)),
			Findings: []check.Finding{{
				Rule: "NotEnabled", Severity: check.High, Object: server, Message: "The API server runs without an audit policy, or without a place to write to: nobody can say who read a Secret",
				Fix: check.Fix{Patch: Policy},
			}},
		}
	}
	v := check.Verdict{Evidence: on}
	if len(in.Control.AuditPolicy) == 0 {
		v.Answer, v.Needs = check.Unknown, []string{"--audit-policy FILE: the audit policy of the API server"}
		v.Summary = "The audit policy was not given"
		if a := in.Activity; a != nil {
			v.Summary = fmt.Sprintf("There is an audit log, from %s to %s. Which requests it leaves out is in the policy, which was not given", a.From.UTC().Format("2006-01-02"), a.To.UTC().Format("2006-01-02"))
		}
		return v
	}
	p, err := control.LoadPolicy(in.Control.AuditPolicy)
	if err != nil {
		v.Answer, v.Needs, v.Summary = check.Unknown, []string{"an audit policy that the API server takes"}, "The audit policy could not be read"
		return v
	}
	faults, all := evaluate(p)
	v = weigh(in, v, faults)
	if !all && v.Answer == check.Yes {
		v.Answer, v.Needs = check.Unknown, []string{fmt.Sprintf("a policy that tells at most %d users, namespaces and names apart", enough)}
		v.Summary = "No fault was found. The policy tells more users, namespaces or names apart than were asked about"
	}
	return v
}

// servers splits the API servers that run as pods by whether they log.
func servers(in *check.Input) (off, on []check.Evidence) {
	for _, s := range in.Control.Servers {
		e := check.Evidence{Object: snapshot.Ref{Kind: "Pod", Namespace: "kube-system", Name: s.Name}}
		file, log, hook := s.Flags["audit-policy-file"], s.Flags["audit-log-path"], s.Flags["audit-webhook-config-file"]
		switch {
		case file == "":
			e.Field, e.Fact = "--audit-policy-file", "the flag is not there"
			off = append(off, e)
		case log == "" && hook == "":
			e.Field, e.Fact = "--audit-log-path", "neither this nor --audit-webhook-config-file is there: nothing is written"
			off = append(off, e)
		default:
			e.Field, e.Fact = "--audit-policy-file", "it logs by "+file
			on = append(on, e)
		}
	}
	return off, on
}

// weigh makes the answer of faults.
func weigh(in *check.Input, v check.Verdict, faults []fault) check.Verdict {
	direct := 0
	for i := range faults {
		f := &faults[i]
		v.Findings = append(v.Findings, f.finding(in.Control.AuditPlace))
		if !f.builtin && (f.target.direct || f.leak) {
			direct++
		}
	}
	v.Evidence = append(v.Evidence, check.Evidence{Object: object, Field: in.Control.AuditPlace, Fact: fmt.Sprintf("asked about %d kinds of requests with Kubernetes' own evaluator", len(targets))})
	switch {
	case direct > 0:
		v.Answer, v.Summary = check.No, fmt.Sprintf("The policy leaves out access to Secrets, or writes values down: %d faults", direct)
	case len(faults) > 0:
		v.Answer, v.Summary = check.Partly, fmt.Sprintf("Access to Secrets by people and workloads is logged, but not every way to get at them: %d faults", len(faults))
	case len(in.Control.Servers) == 0 && in.Activity == nil:
		v.Answer, v.Summary = check.Unknown, "The policy is good. That it is in force was not seen"
		v.Needs = []string{"list on pods of kube-system, where the API server's flags are", "or --audit-log FILE, which shows that there is one"}
	default:
		v.Answer, v.Summary = check.Yes, "Every access to Secrets is logged, and no value"
	}
	return v
}

// key tells faults apart that are told as one. The index of the rule is not in
// it: a rule before it does not make another fault.
type key struct {
	target *target
	leak   bool
}

type fault struct {
	key
	builtin bool // all who are affected are Kubernetes' own
	rules   []int
	levels  []audit.Level
	who     []string // "get, list by jane"
	verbs   map[string][]string
	places  []string
}

// evaluate asks about everything; all is false of a policy that names too much for that.
func evaluate(p *audit.Policy) (out []fault, all bool) {
	e, w := newEvaluator(p), newWorld(p)
	for i := range targets {
		t := &targets[i]
		blind, leak := &fault{key: key{t, false}, builtin: true}, &fault{key: key{t, true}, builtin: true}
		w.requests(t, func(a asker, r authorizer.Attributes) {
			switch got := e.ask(r); {
			case t.access && !got.logged:
				blind.add(a, r, got)
			case t.content && (got.level.GreaterOrEqual(audit.LevelRequestResponse) || got.level.GreaterOrEqual(audit.LevelRequest) && sends(r.GetVerb())):
				leak.add(a, r, got)
			}
		})
		for _, f := range []*fault{blind, leak} {
			if len(f.rules) > 0 {
				f.builtin = f.builtin && !f.leak
				out = append(out, *f)
			}
		}
	}
	return out, !w.more
}

// sends reports whether the body of a request holds content. Of a patch too: it
// holds what is changed.
func sends(verb string) bool { return verb == "create" || verb == "update" || verb == "patch" }

func (f *fault) add(a asker, r authorizer.Attributes, got ruling) {
	f.builtin = f.builtin && a.builtin
	f.rules, f.levels = once(f.rules, got.rule), once(f.levels, got.level)
	if f.verbs == nil {
		f.verbs = map[string][]string{}
	}
	who := a.who.GetName()
	if _, known := f.verbs[who]; !known {
		f.who = append(f.who, who)
	}
	f.verbs[who] = once(f.verbs[who], r.GetVerb())
	if n := r.GetNamespace(); n != "" {
		f.places = once(f.places, n)
	}
}

// once appends v if it is not there.
func once[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func (f *fault) finding(place string) check.Finding {
	out := check.Finding{Object: object, Place: place, Field: f.target.name(), Rule: "Blind", Count: len(f.who), Fix: check.Fix{Patch: Policy}}
	slices.Sort(f.rules)
	for _, who := range f.who {
		out.Affected = append(out.Affected, strings.Join(f.verbs[who], ", ")+" by "+who)
	}
	if f.leak {
		out.Rule, out.Severity = "Leak", check.Critical
		if f.target.resource == "configmaps" {
			out.Severity = check.Medium
		}
		out.Message = fmt.Sprintf("The log gets the bodies of requests of %s, values included, by %s at level %s", f.target.name(), indices(f.rules), joined(f.levels))
		return out
	}
	out.Severity = check.Medium
	switch {
	case f.builtin:
		out.Severity = check.Low
	case f.target.direct:
		out.Severity = check.High
	}
	out.Message = fmt.Sprintf("Requests of %s are not logged, by %s (in %s)", f.target.name(), indices(f.rules), cmp.Or(strings.Join(f.places, ", "), "the whole cluster"))
	return out
}

// indices are the rules at fault as a policy counts them.
func indices(rules []int) string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = fmt.Sprintf("rules[%d]", r)
		if r < 0 {
			out[i] = "no rule, which is level None"
		}
	}
	return strings.Join(out, ", ")
}

func joined(levels []audit.Level) string {
	out := make([]string, len(levels))
	for i, l := range levels {
		out[i] = string(l)
	}
	return strings.Join(out, ", ")
}

// Policy is a minimal one without faults.
const Policy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
# Who touched what, and no bodies: these hold values.
- level: Metadata
  resources:
  - group: ""
    resources: [secrets, configmaps, serviceaccounts/token]
  - group: authentication.k8s.io
    resources: [tokenreviews]
# Ways to get at Secrets.
- level: Metadata
  resources:
  - group: ""
    resources: [pods/exec, pods/attach, pods/portforward, pods/proxy, pods/ephemeralcontainers, nodes/proxy]
  - group: rbac.authorization.k8s.io
# What is frequent and says nothing.
- level: None
  resources:
  - group: ""
    resources: [events]
  - group: events.k8s.io
  - group: coordination.k8s.io
    resources: [leases]
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*, /version]
- level: Metadata
`
