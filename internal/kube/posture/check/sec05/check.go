// Package sec05 asks where the content of Secrets comes from.
// docs/checks/SEC-05.md.
package sec05

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-05.
func Check() check.Check {
	return check.Check{
		ID: "SEC-05", Title: "An external secret manager is the source of truth",
		Needs: []string{"secrets", "secrets/values", "configmaps", "sources"},
		Judge: judge,
	}
}

// orphaned is what came from outside, and does not any more.
const orphaned origin.Kind = "Orphaned"

// rows are what is found of each origin that is not the manager's.
var rows = map[origin.Kind]struct {
	rule     string
	severity check.Severity
	message  string
}{
	origin.Hand:     {"MadeByHand", check.High, "its content was written by hand (%s): nobody can say where else it is, or make it again"},
	origin.Manifest: {"InManifest", check.Medium, "its content comes from a manifest or chart (%s), which holds the value itself"},
	origin.Unknown:  {"NobodySays", check.Medium, "nothing says where its content comes from%s"},
	orphaned:        {"Orphaned", check.Medium, "what made it (%s) is not there any more: it looks managed, and nothing keeps it in step with the manager"},
	origin.Mirror:   {"CopyOfUnmanaged", check.Medium, "it is copied (%s) from what no external manager holds"},
	origin.Sealed:   {"SealedInGit", check.Low, "its truth is Git (%s), sealed by a key of this cluster and not held by a manager that can rotate it"},
}

func judge(in *check.Input) check.Verdict {
	var v check.Verdict
	by := map[origin.Kind]int{}
	var managed, asked, written, bad int
	for i := range in.Secrets {
		s := &in.Secrets[i]
		if !origin.Credential(s) {
			continue
		}
		asked++
		o := in.Index.Origins.Secret(s)
		if in.Index.Origins.Managed(s) {
			managed++
			continue
		}
		if o.Kind.Outside() {
			o.Kind = orphaned
		}
		by[o.Kind]++
		if o.Kind.Written() {
			written++
			o.Kind = origin.Manifest
		}
		row, ok := rows[o.Kind]
		if !ok {
			continue
		}
		if o.Kind != origin.Sealed {
			bad++
		}
		f := check.Finding{Rule: row.rule, Severity: row.severity, Object: origin.Ref(s), Place: s.Place, Message: fmt.Sprintf(row.message, o.Said()), Fix: check.Fix{Patch: adopt(in, s)}}
		f.Affected, f.Count = users(in, s)
		v.Findings = append(v.Findings, f)
	}
	maps := configMaps(in)
	v.Findings = append(v.Findings, maps...)
	v.Answer = answer(managed, bad+len(maps), by[origin.Sealed])
	v.Summary = fmt.Sprintf("Secrets with credentials: %d; from an external manager or an issuer: %d, by hand: %d, from manifests: %d, nobody says: %d; credentials in ConfigMaps: %d",
		asked, managed, by[origin.Hand], written, by[origin.Unknown], len(maps))
	v.Evidence = []check.Evidence{
		{Fact: check.Count(by[origin.Operator]+by[origin.Client], "Secret") + " are made up by other controllers, which are their source"},
		{Fact: check.Count(by[origin.Sealed], "Secret") + " are sealed in Git"},
	}
	for i := range in.Stores {
		s := &in.Stores[i]
		v.Evidence = append(v.Evidence, check.Evidence{Object: snapshot.Ref{Group: "external-secrets.io", Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, Fact: "a store of " + s.Provider})
	}
	return v
}

func answer(managed, bad, sealed int) check.Answer {
	switch {
	case bad > 0 && managed == 0:
		return check.No
	case bad+sealed > 0:
		return check.Partly
	}
	return check.Yes
}

// configMaps finds credentials that are in no Secret at all.
func configMaps(in *check.Input) []check.Finding {
	var out []check.Finding
	for i := range in.ConfigMaps {
		c := &in.ConfigMaps[i]
		if c.Release != nil {
			continue
		}
		for j := range c.Values {
			// Random bytes in configuration are mostly digests; a name, a prefix or a
			// shape has to say that it is a credential.
			v := &c.Values[j]
			if !v.Looks.Sensitive() || v.Looks == snapshot.LooksRandom || strings.HasPrefix(v.Field, "metadata") {
				continue
			}
			f := check.Finding{
				Rule: "InConfigMap", Severity: check.High, Object: snapshot.Ref{Kind: "ConfigMap", Namespace: c.Namespace, Name: c.Name}, Field: v.Field, Place: c.Place,
				Message: fmt.Sprintf("a value that looks like a credential (%s) is in a ConfigMap, which nobody protects as one", v.Looks),
				Fix:     check.Fix{Text: "Move it into the manager of secrets, make a Secret of it by an ExternalSecret, refer to that, and change the credential: it was readable by whoever reads ConfigMaps."},
			}
			out = append(out, f)
		}
	}
	return out
}

// users are who uses s.
func users(in *check.Input, s *snapshot.Secret) ([]string, int) {
	var out []string
	for _, w := range in.Index.Workloads[name(s)] {
		out = append(out, w.Kind+" "+w.Namespace+"/"+w.Name)
	}
	for _, p := range in.Index.Pods[name(s)] {
		if p.Workload.Kind == "Pod" || p.Workload.Kind == "" {
			out = append(out, "Pod "+p.Namespace+"/"+p.Name)
		}
	}
	return check.Names(out)
}
