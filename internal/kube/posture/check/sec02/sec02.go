package sec02

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec01"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-02"

// Check returns the check.
func Check() check.Check {
	return check.Check{ID: ID, Title: "KMS envelope encryption is used: the key lies outside the cluster", Judge: judge}
}

var server = snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}

func judge(in *check.Input) check.Verdict {
	if e := in.Control.Encryption; e != nil {
		return configured(e)
	}
	if prefix := writing(in.Control.Transformations); prefix != "" {
		return counted(prefix)
	}
	// Where the rest tells nothing, the answer to whether anything is encrypted tells.
	first := sec01.Check().Judge(in)
	switch {
	case first.Answer == check.No:
		return local("Secrets are not encrypted at all", first.Evidence, "NoEncryption")
	case first.Answer == check.Yes && in.Control.Managed == "eks":
		return check.Verdict{Answer: check.Yes, Summary: "The cloud encrypts with keys of AWS KMS", Evidence: first.Evidence}
	}
	return check.Verdict{Answer: check.Unknown, Needs: first.Needs, Summary: "Nothing tells where the key of the encryption lies", Evidence: first.Evidence}
}

// configured judges the providers of an EncryptionConfiguration.
func configured(e *snapshot.Encryption) check.Verdict {
	providers := control.Providers(e, "secrets")
	if len(providers) == 0 || providers[0].Kind == "identity" {
		return local("Secrets are not encrypted at all", []check.Evidence{{Field: e.Place, Fact: "secrets are written in clear"}}, "NoEncryption")
	}
	first := providers[0]
	evidence := []check.Evidence{{Field: e.Place, Fact: "secrets are written by " + strings.TrimSpace(first.Kind+" "+first.APIVersion+" "+first.Name)}}
	if first.Kind != "kms" {
		return local(fmt.Sprintf("The key of %s stands in a file beside the API server: who has a backup of both has every Secret", first.Kind), evidence, "LocalKey")
	}
	v := remote(first.APIVersion, evidence)
	for _, p := range providers[1:] {
		if p.Keys > 0 {
			v.Findings = append(v.Findings, check.Finding{
				Rule: "LocalKeyLeft", Severity: check.Low, Object: server, Field: p.Kind,
				Message: fmt.Sprintf("%d keys of %s still stand in the file, to read what was written before", p.Keys, p.Kind),
				Fix:     check.Fix{Text: "When SEC-01 says that all Secrets have been written again, take the provider " + p.Kind + " out of " + e.Place},
			})
		}
	}
	return v
}

// remote is the answer for a KMS of a version.
func remote(version string, evidence []check.Evidence) check.Verdict {
	v := check.Verdict{Answer: check.Yes, Summary: "Secrets are encrypted by KMS " + version, Evidence: evidence}
	if version != "v2" {
		v.Answer = check.Partly
		v.Summary = "Secrets are encrypted by KMS v1, which Kubernetes has given up"
		v.Findings = []check.Finding{{
			Rule: "KMSv1", Severity: check.Medium, Object: server,
			Message: "KMS v1 is deprecated since Kubernetes 1.28 and off by default since 1.29: an upgrade may leave the API server unable to read Secrets. It asks the KMS for each write, and does not notice that the key was rotated",
			Fix:     check.Fix{Patch: sec01.Configuration},
		}}
	}
	return v
}

// writing is the prefix that Secrets are written with, "" if the counters do not say.
func writing(list []snapshot.Transformation) string {
	var prefixes []string
	for _, t := range list {
		if t.Resource == "secrets" && t.Type == "to_storage" && t.Count > 0 && (t.Status == "" || t.Status == "OK") && strings.HasPrefix(t.Prefix, "k8s:enc:") {
			prefixes = append(prefixes, t.Prefix)
		}
	}
	// With several, the worst is the answer: KMS v2 comes last in this order.
	slices.SortFunc(prefixes, func(a, b string) int { return strings.Compare(rank(a), rank(b)) })
	if len(prefixes) == 0 {
		return ""
	}
	return prefixes[0]
}

// rank orders prefixes, the worst first.
func rank(prefix string) string {
	switch {
	case strings.HasPrefix(prefix, "k8s:enc:kms:v2:"):
		return "2"
	case strings.HasPrefix(prefix, "k8s:enc:kms:"):
		return "1"
	}
	return "0" + prefix
}

func counted(prefix string) check.Verdict {
	evidence := []check.Evidence{{Object: server, Field: "apiserver_storage_transformation_operations_total", Fact: "Secrets are written as " + prefix}}
	switch rank(prefix) {
	case "2":
		return remote("v2", evidence)
	case "1":
		return remote("v1", evidence)
	}
	return local("Secrets are encrypted by a key in a file beside the API server", evidence, "LocalKey")
}

// local is the answer where the key is in the cluster, or there is none.
func local(message string, evidence []check.Evidence, rule string) check.Verdict {
	severity := check.High
	if rule == "NoEncryption" {
		severity = check.Critical
	}
	return check.Verdict{
		Answer: check.No, Summary: message, Evidence: evidence,
		Findings: []check.Finding{{Rule: rule, Severity: severity, Object: server, Message: message, Fix: check.Fix{Patch: sec01.Configuration}}},
	}
}
