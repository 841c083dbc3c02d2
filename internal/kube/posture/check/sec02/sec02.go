package sec02

import (
	"cmp"
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
	// Flags and counters go before a file that somebody gave, and before what a cloud does.
	first := sec01.Check().Judge(in)
	if first.Answer == check.No {
		rule := "NoEncryption"
		if slices.ContainsFunc(first.Findings, func(f check.Finding) bool { return f.Rule == notInForce }) {
			rule = notInForce
		}
		return local("Secrets are not encrypted at all: "+first.Summary, first.Evidence, rule)
	}
	written := writing(in.Control.Transformations)
	if in.Control.Encryption != nil {
		return given(&in.Control, written)
	}
	if len(written) > 0 {
		v := counted(written[0])
		if n := len(in.Control.Servers); n > 1 && v.Answer == check.Yes {
			v.Answer, v.Needs, v.Summary = check.Unknown, []string{"--encryption-config FILE: the EncryptionConfiguration of the API servers"}, sec01.Others(n)
		}
		return v
	}
	// Where the rest tells nothing, the answer to whether anything is encrypted tells.
	if first.Answer == check.Yes && in.Control.Managed == "eks" {
		return check.Verdict{Answer: check.Yes, Summary: "The cloud encrypts with keys of AWS KMS", Evidence: first.Evidence}
	}
	if r, _ := sec01.Usable(in); r != nil && r.Clear == 0 {
		return now(r, first, reported(r, first.Evidence))
	}
	return check.Verdict{Answer: check.Unknown, Needs: first.Needs, Summary: "Nothing tells where the key of the encryption lies", Evidence: first.Evidence}
}

// now is a verdict of a report that is yes only if API servers write new Secrets as those in etcd
// are, as far as the report and SEC-01 know.
func now(r *snapshot.Stored, first, v check.Verdict) check.Verdict {
	if v.Answer != check.Yes || r.Configuration == snapshot.Same && first.Answer == check.Yes {
		return v
	}
	return check.Verdict{
		Answer: check.Unknown, Needs: sec01.OneConfiguration, Evidence: v.Evidence,
		Summary: "What lies in etcd is under KMS v2. How the API servers write new Secrets is not known: " + cmp.Or(r.Why, first.Summary),
	}
}

// given judges by the file that was given, unless another one is in force.
func given(c *snapshot.Control, written []string) check.Verdict {
	switch same, known := control.InForce(c); {
	case known && !same:
		return sec01.Other(c, []check.Evidence{{Field: c.Encryption.Place, Fact: "the file that was given"}})
	case known: // what was written before it was taken up does not matter
		written = nil
	}
	return configured(c.Encryption, written)
}

// reported judges by what a report says that Secrets in etcd are under, the worst of it.
func reported(r *snapshot.Stored, evidence []check.Evidence) check.Verdict {
	var unders []string
	for under := range r.Under {
		unders = append(unders, under)
	}
	slices.SortFunc(unders, func(a, b string) int { return cmp.Or(cmp.Compare(depth(a), depth(b)), strings.Compare(a, b)) })
	for _, under := range unders {
		evidence = append(evidence, check.Evidence{Field: r.Place, Fact: fmt.Sprintf("%d Secrets in etcd are under %s", r.Under[under], under)})
	}
	switch {
	case len(unders) == 0 || r.Under["others"] > 0:
		return check.Verdict{Answer: check.Unknown, Summary: "The report does not tell what all Secrets are under", Evidence: evidence, Needs: []string{"a report of strongkeep encryption report that has secrets, under fewer keys"}}
	case depth(unders[0]) == 2:
		return remote("v2", evidence)
	case depth(unders[0]) == 1:
		return remote("v1", evidence)
	}
	return local("Secrets lie in etcd under a key that stands in a file beside the API server: "+unders[0], evidence, "LocalKey")
}

// depth orders what values are under, the worst first.
func depth(under string) int {
	switch {
	case strings.HasPrefix(under, "kms-v2/"):
		return 2
	case strings.HasPrefix(under, "kms-v1/"):
		return 1
	}
	return 0
}

// notInForce is the rule, here and in SEC-01, of a file that is not the one that runs.
const notInForce = "NotInForce"

// inForce compares the provider that a file says writes Secrets with the prefixes that
// were written, and returns what is to be said if they differ. An API server that
// took up the file while it ran has written by what was before as well.
func inForce(first snapshot.EncryptionProvider, written []string, evidence []check.Evidence) (check.Verdict, bool) {
	want := "k8s:enc:" + first.Kind + ":"
	if first.Kind == "kms" {
		want += first.APIVersion + ":"
	}
	other := slices.DeleteFunc(slices.Clone(written), func(prefix string) bool { return strings.HasPrefix(prefix, want) })
	for _, prefix := range other {
		evidence = append(evidence, fact(prefix))
	}
	switch {
	case len(other) == 0:
		return check.Verdict{}, true
	case len(other) == len(written):
		return local("The EncryptionConfiguration that was given is not in force: the API server that answered writes Secrets as "+other[0], evidence, notInForce), false
	}
	return check.Verdict{
		Answer: check.Unknown, Evidence: evidence, Needs: []string{"the counters of an API server that was started after the EncryptionConfiguration changed"},
		Summary: "The API server has written Secrets by this provider and, since it started, as " + other[0] + " too",
	}, false
}

// configured judges the providers of an EncryptionConfiguration.
func configured(e *snapshot.Encryption, written []string) check.Verdict {
	providers := control.Providers(e, "secrets")
	if len(providers) == 0 || providers[0].Kind == "identity" {
		return local("Secrets are not encrypted at all", []check.Evidence{{Field: e.Place, Fact: "secrets are written in clear"}}, "NoEncryption")
	}
	first := providers[0]
	evidence := []check.Evidence{{Field: e.Place, Fact: "secrets are written by " + strings.TrimSpace(first.Kind+" "+first.APIVersion+" "+first.Name)}}
	if v, ok := inForce(first, written, evidence); !ok {
		return v
	}
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

// writing are the prefixes that Secrets were written with since the API server
// started, the worst first; none if the counters do not say.
func writing(list []snapshot.Transformation) []string {
	var prefixes []string
	for _, t := range list {
		if t.Resource == "secrets" && t.Type == "to_storage" && t.Count > 0 && (t.Status == "" || t.Status == "OK") && strings.HasPrefix(t.Prefix, "k8s:enc:") {
			prefixes = append(prefixes, t.Prefix)
		}
	}
	slices.SortFunc(prefixes, func(a, b string) int { return strings.Compare(rank(a), rank(b)) })
	return prefixes
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

func fact(prefix string) check.Evidence {
	return check.Evidence{Object: server, Field: "apiserver_storage_transformation_operations_total", Fact: "Secrets are written as " + prefix}
}

func counted(prefix string) check.Verdict {
	evidence := []check.Evidence{fact(prefix)}
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
