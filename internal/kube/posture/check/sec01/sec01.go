package sec01

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// ID is stable.
const ID = "SEC-01"

// Check returns the check.
func Check() check.Check {
	return check.Check{ID: ID, Title: "Encryption at rest is enabled, and existing Secrets have been re-encrypted", Judge: judge}
}

// what it takes where nothing is known.
var needs = []string{
	"--encryption-config FILE: the EncryptionConfiguration of the API server",
	"or a right to get /metrics of the API server",
	"or --encryption-report FILE: what strongkeep encryption report found in etcd",
}

// server is the object of findings that are about no Secret.
var server = snapshot.Ref{Kind: "APIServer", Name: "kube-apiserver"}

func judge(in *check.Input) check.Verdict { return reported(in, unreported(in)) }

// unreported judges without a report of what lies in etcd.
func unreported(in *check.Input) check.Verdict {
	seen := count(in.Control.Transformations)
	with, without := servers(in)
	switch e := in.Control.Encryption; {
	case len(without) > 0:
		return off(fmt.Sprintf("%d of %d API servers run without --%s: they store Secrets in clear", len(without), len(in.Control.Servers), flag), append(without, with...))
	case e != nil:
		return configured(in, e, seen)
	case seen.encrypted():
		return counted(in, seen)
	case seen.writes[clear] > 0:
		return off("The API server writes Secrets in clear, as its own counters say", seen.evidence())
	case in.Control.Managed != "":
		return managed(in)
	}
	if len(with) > 0 {
		return check.Verdict{Answer: check.Unknown, Needs: needs, Summary: "The API server has an EncryptionConfiguration. Whether it encrypts Secrets is in that file", Evidence: with}
	}
	return check.Verdict{Answer: check.Unknown, Needs: needs, Summary: "Nothing is known of how the API server stores Secrets"}
}

// configured judges an EncryptionConfiguration.
func configured(in *check.Input, e *snapshot.Encryption, seen counters) check.Verdict {
	providers := control.Providers(e, "secrets")
	evidence := []check.Evidence{{Field: e.Place, Fact: "providers of secrets, in order: " + words(providers)}}
	switch {
	case len(providers) == 0:
		return off("No entry of the EncryptionConfiguration covers secrets: they are stored in clear", []check.Evidence{{Field: e.Place, Fact: "no entry names secrets, *. or *.*"}})
	case providers[0].Kind == identity:
		return off("The first provider of secrets is identity, which stores them in clear; what stands behind it only reads", evidence)
	}
	same, known := control.InForce(&in.Control)
	switch {
	case known && same: // counters of before do not speak against a file that it took up since
	case seen.writes[clear] > 0 && !seen.encrypted():
		v := off("The EncryptionConfiguration that was given is not in force: the API server that answered writes Secrets in clear", append(evidence, seen.evidence()...))
		v.Findings[0].Rule = "NotInForce"
		return v
	case known:
		return Other(&in.Control, evidence)
	}
	return rewritten(in, providers, evidence, seen)
}

// Other is the answer where the API server has another file than the one that was given.
func Other(c *snapshot.Control, evidence []check.Evidence) check.Verdict {
	return check.Verdict{
		Answer: check.Unknown, Needs: []string{"--encryption-config FILE: the EncryptionConfiguration that is in force, " + c.InForce},
		Summary:  "The API server that answered has another EncryptionConfiguration in force than the one that was given",
		Evidence: append(evidence, check.Evidence{Object: server, Field: "apiserver_encryption_config_controller_last_config_info", Fact: "the file in force is " + c.InForce + "; the one that was given is " + c.Encryption.Hash}),
	}
}

const identity = "identity"

// words are providers in one line.
func words(providers []snapshot.EncryptionProvider) string {
	out := make([]string, len(providers))
	for i, p := range providers {
		out[i] = strings.TrimSpace(p.Kind + " " + p.Name)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// off is the answer where Secrets are written in clear.
func off(message string, evidence []check.Evidence) check.Verdict {
	return check.Verdict{
		Answer: check.No, Summary: message, Evidence: evidence,
		Findings: []check.Finding{{
			Rule: "StoredInClear", Severity: check.Critical, Object: server, Message: message + ". Whoever reads etcd, its disk or a backup has every Secret",
			Fix: check.Fix{Patch: Configuration},
		}},
	}
}

// Configuration is an EncryptionConfiguration to begin with. Its key is a KMS', so
// that no key stands in a file.
const Configuration = `# Given to every kube-apiserver by --encryption-provider-config.
# identity stays at the end until all Secrets have been written again; then take it out.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms:
      apiVersion: v2
      name: kms
      endpoint: unix:///var/run/kmsplugin/socket.sock
  - identity: {}
`

// counted judges by the API server's counters alone.
func counted(in *check.Input, seen counters) check.Verdict {
	v := rewritten(in, nil, seen.evidence(), seen)
	if n := len(in.Control.Servers); n > 1 && v.Answer == check.Yes {
		v.Answer, v.Needs = check.Unknown, needs[:1]
		v.Summary = Others(n)
	}
	return v
}

// Others says what the counters of one of several API servers do not.
func Others(servers int) string {
	return fmt.Sprintf("The API server that answered encrypts Secrets; how the other %d write them its counters do not say", servers-1)
}

// defaults are the versions from which a cloud encrypts by itself what the API stores.
var defaults = map[string]struct {
	minor int
	fact  string
}{
	"eks": {28, "Amazon EKS encrypts all data of the Kubernetes API with envelope encryption by AWS KMS from version 1.28 on, also what was there before"},
}

// managed judges where a cloud runs the API server and nothing else is known.
func managed(in *check.Input) check.Verdict {
	d, known := defaults[in.Control.Managed]
	if known && Minor(in.Control.Version) >= d.minor {
		return check.Verdict{
			Answer: check.Yes, Summary: fmt.Sprintf("The cloud encrypts them: %s %s", in.Control.Managed, in.Control.Version),
			Evidence: []check.Evidence{{Object: server, Field: "version " + in.Control.Version, Fact: d.fact}},
		}
	}
	needs := Commands[in.Control.Managed]
	if needs == "" {
		needs = "what the cloud says of the encryption of its API server's storage"
	}
	return check.Verdict{
		Answer: check.Unknown, Needs: []string{needs},
		Summary: fmt.Sprintf("A cloud (%s) runs the API server. It encrypts its disks; whether Secrets are encrypted before they come there only its API says", in.Control.Managed),
	}
}

// Commands are those that ask a cloud about the encryption of Secrets.
var Commands = map[string]string{
	"eks": "aws eks describe-cluster --name CLUSTER --query cluster.encryptionConfig",
	"gke": "gcloud container clusters describe CLUSTER --format='value(databaseEncryption.state)'",
	"aks": "az aks show --name CLUSTER --resource-group GROUP --query securityProfile.azureKeyVaultKms",
}

// Minor is the second number of a version, -1 if there is none.
func Minor(version string) int {
	var major, minor int
	if n, _ := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor); n != 2 {
		return -1
	}
	return minor
}

// flag is the API server's that names the EncryptionConfiguration.
const flag = "encryption-provider-config"

// servers splits the API servers that run as pods by whether they have the flag.
func servers(in *check.Input) (with, without []check.Evidence) {
	for _, s := range in.Control.Servers {
		e := check.Evidence{Object: snapshot.Ref{Kind: "Pod", Namespace: "kube-system", Name: s.Name}, Field: "--" + flag}
		if file := s.Flags[flag]; file != "" {
			e.Fact = "the flag names " + file + "; what is in it cannot be seen from here"
			with = append(with, e)
		} else {
			e.Fact = "the flag is not there"
			without = append(without, e)
		}
	}
	return with, without
}
