// Package sec09 asks whether credentials come into containers as files and not as
// environment variables. docs/checks/SEC-09.md.
package sec09

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-09.
func Check() check.Check {
	return check.Check{
		ID: "SEC-09", Title: "Secrets are mounted as files, not as environment variables",
		Needs: []string{"workloads", "pods", "secrets/values"},
		Judge: judge,
	}
}

type judgement struct {
	in                       *check.Input
	out                      check.Verdict
	variables, files, plain  int
	holders, secret, literal map[snapshot.Ref]bool
}

func judge(in *check.Input) check.Verdict {
	j := &judgement{in: in, holders: map[snapshot.Ref]bool{}, secret: map[snapshot.Ref]bool{}, literal: map[snapshot.Ref]bool{}}
	for _, h := range in.Holders() {
		j.uses(&h)
		j.literals(&h)
	}
	v := j.out
	v.Summary = fmt.Sprintf("workloads that use Secrets: %d, as variables: %d (%s); workloads with what looks like a credential in plain sight: %d",
		len(j.holders), len(j.secret), check.Count(j.variables, "variable"), len(j.literal))
	v.Evidence = []check.Evidence{{Fact: check.Count(j.files, "mount") + " of Secrets as files"}}
	switch {
	case len(v.Findings) == 0:
		v.Answer = check.Yes
	case j.files > 0 && len(j.literal) == 0:
		v.Answer = check.Partly
	default:
		v.Answer = check.No
	}
	return v
}

// uses judges how a workload has Secrets.
func (j *judgement) uses(h *check.Holder) {
	for i := range h.Template.Secrets {
		u := &h.Template.Secrets[i]
		switch u.Kind {
		case consumer.UseVolume, consumer.UseProjected, consumer.UseSubPath:
			j.files++
			j.holders[h.Ref] = true
		case consumer.UseEnv, consumer.UseEnvFrom:
			j.holders[h.Ref] = true
			if !j.public(h.Ref.Namespace, u) {
				j.variable(h, u)
			}
		}
	}
}

// public reports whether what a variable has is known to be no secret: the key is
// a certificate or a path.
func (j *judgement) public(namespace string, u *consumer.Use) bool {
	s := j.in.Index.Secrets[path.Name{Namespace: namespace, Name: u.Secret}]
	if s == nil || !s.Read || u.Key == "" {
		return false
	}
	for i := range s.Values {
		if v := &s.Values[i]; v.Field == "data."+u.Key || v.Field == "stringData."+u.Key {
			return v.Looks == snapshot.LooksCert || v.Looks == snapshot.LooksReference
		}
	}
	return false
}

func (j *judgement) variable(h *check.Holder, u *consumer.Use) {
	j.variables++
	j.secret[h.Ref] = true
	f := check.Finding{
		Rule: "EnvVariable", Severity: check.Medium, Object: h.Ref, Place: h.Place,
		Field:    h.Container(u.Container) + ".env[" + u.Where + "]",
		Affected: []string{"Secret " + h.Ref.Namespace + "/" + u.Secret}, Count: 1,
	}
	key := ""
	if u.Key != "" {
		key = " key " + u.Key
	}
	if u.Kind == consumer.UseEnvFrom {
		f.Rule, f.Field = "EnvFrom", h.Container(u.Container)+".envFrom["+u.Secret+"]"
		f.Message = fmt.Sprintf("every key of Secret %s is an environment variable, which crash reports, child processes and `kubectl exec -- env` show, and which does not change while it runs", u.Secret)
	} else {
		f.Message = fmt.Sprintf("Secret %s%s is an environment variable, which crash reports, child processes and `kubectl exec -- env` show, and which does not change while it runs", u.Secret, key)
	}
	f.Fix = fix(h, u)
	j.out.Findings = append(j.out.Findings, f)
}

// literals finds values that look like credentials in the template itself.
func (j *judgement) literals(h *check.Holder) {
	for i := range h.Template.Values {
		v := &h.Template.Values[i]
		if !v.Looks.Sensitive() || !strings.HasPrefix(v.Field, "spec.") || v.Looks == snapshot.LooksRandom {
			continue
		}
		j.plain++
		j.literal[h.Ref] = true
		f := check.Finding{
			Rule: "LiteralVariable", Severity: check.High, Object: h.Ref, Place: h.Place, Field: h.Spec + strings.TrimPrefix(v.Field, "spec"),
			Message: fmt.Sprintf("a value that looks like a credential (%s) stands in the manifest itself: whoever may read it, Git and every dump has it", v.Looks),
			Fix:     check.Fix{Text: "Make a Secret of it by an ExternalSecret, mount that as a file, take the value out here, and change the credential: it is known."},
		}
		if !strings.Contains(v.Field, ".env[") {
			f.Rule = "LiteralArgument"
			f.Message = fmt.Sprintf("a value that looks like a credential (%s) stands in a command line, which every process of the node's users sees", v.Looks)
		}
		j.out.Findings = append(j.out.Findings, f)
	}
}
