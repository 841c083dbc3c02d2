package sec01_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec01"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var began = checktest.Ago(10 * checktest.Day)

// config reads an EncryptionConfiguration of a line for each entry: "secrets: aescbc identity".
func config(t *testing.T, since time.Time, entries ...string) *snapshot.Encryption {
	t.Helper()
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
	for _, e := range entries {
		resource, providers, _ := strings.Cut(e, ": ")
		text += "- resources: ['" + resource + "']\n  providers:\n"
		for p := range strings.FieldsSeq(providers) {
			switch p {
			case "identity":
				text += "  - identity: {}\n"
			case "kms":
				text += "  - kms: {apiVersion: v2, name: cloud, endpoint: 'unix:///k.sock'}\n"
			default:
				text += "  - " + p + ": {keys: [{name: one, secret: " + key + "}]}\n"
			}
		}
	}
	out, err := control.Encryption("enc.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out.Since = since
	return out
}

func secret(namespace, name string, written time.Time) snapshot.Secret {
	return snapshot.Secret{Meta: snapshot.Meta{Namespace: namespace, Name: name, Created: checktest.Ago(100 * checktest.Day), Writers: []snapshot.Writer{{Manager: "kubectl", Time: written}}}}
}

func counter(kind, prefix string, n float64) snapshot.Transformation {
	return snapshot.Transformation{Resource: "secrets", Type: kind, Prefix: prefix, Status: "OK", Count: n}
}

// inForce is an API server that has the file.
func inForce(e *snapshot.Encryption, counted ...snapshot.Transformation) snapshot.Control {
	return snapshot.Control{InForce: e.Hash, Encryption: e, Transformations: counted}
}

func TestCheck(t *testing.T) {
	both := []snapshot.Secret{secret("shop", "new", checktest.Ago(checktest.Day)), secret("shop", "old", checktest.Ago(20*checktest.Day))}
	fresh := both[:1]
	with := snapshot.Server{Name: "api-1", Flags: map[string]string{"encryption-provider-config": "/etc/enc.yaml"}}
	aes := "k8s:enc:aescbc:v1:"
	clear := []string{"StoredInClear APIServer kube-apiserver"}
	cases := []checktest.Case{
		{Name: "nothing known", Answer: check.Unknown, Needs: []string{"--encryption-config"}},
		{Name: "the flag alone", Answer: check.Unknown, Needs: []string{"--encryption-config"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: []snapshot.Server{with}}}},
		{Name: "one server without the flag", Answer: check.No, Findings: clear, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: []snapshot.Server{with, {Name: "api-2"}}, Encryption: config(t, began, "secrets: aescbc")}}},
		// What others pass: any cipher anywhere in the list.
		{Name: "identity first", Answer: check.No, Findings: clear, Snapshot: snapshot.Snapshot{Secrets: fresh, Control: snapshot.Control{Encryption: config(t, began, "secrets: identity aescbc")}}},
		{Name: "only ConfigMaps", Answer: check.No, Findings: clear, Snapshot: snapshot.Snapshot{Secrets: fresh, Control: snapshot.Control{Encryption: config(t, began, "configmaps: aescbc")}}},
		{Name: "exempt by name before a wildcard", Answer: check.No, Findings: clear, Snapshot: snapshot.Snapshot{Secrets: fresh, Control: snapshot.Control{Encryption: config(t, began, "secrets: identity", "*.*: aescbc")}}},
		// What others fail: aesgcm is encryption.
		{Name: "aesgcm, all written since", Answer: check.Yes, Snapshot: snapshot.Snapshot{Secrets: fresh, Control: snapshot.Control{Encryption: config(t, began, "*.: aesgcm identity")}}},
		{Name: "an old Secret", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: aescbc identity")}}},
		{Name: "since when is not known", Answer: check.Unknown, Needs: []string{"--encryption-since"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, time.Time{}, "secrets: aescbc identity")}}},
		{Name: "since the server loaded it", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Reloaded: began, Encryption: config(t, time.Time{}, "secrets: aescbc identity")}}},
		{Name: "not all Secrets were seen", Answer: check.Unknown, Needs: []string{"secrets"}, Snapshot: snapshot.Snapshot{Coverage: snapshot.Coverage{"secrets": {Reason: "no right"}}, Secrets: fresh, Control: snapshot.Control{Encryption: config(t, began, "secrets: aescbc identity")}}},
		{Name: "clear text cannot be read", Answer: check.Yes, Snapshot: snapshot.Snapshot{Live: true, Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: kms")}}},
		{Name: "clear text cannot be read, but nothing was", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: kms")}}},
		{Name: "migrated since", Answer: check.Yes, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: kms identity"), Migrations: []snapshot.Migration{{Meta: snapshot.Meta{Name: "m"}, Resource: "secrets", Succeeded: true, Ended: checktest.Ago(checktest.Day)}}}}},
		{Name: "migrated before", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: kms identity"), Migrations: []snapshot.Migration{
			{Resource: "secrets", Succeeded: true, Ended: checktest.Ago(11 * checktest.Day)}, {Resource: "configmaps", Succeeded: true, Ended: checktest.Ago(checktest.Day)}, {Resource: "secrets", Failed: true, Ended: checktest.Ago(checktest.Day)}}}}},
		{Name: "counters: all read encrypted", Answer: check.Yes, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Transformations: []snapshot.Transformation{counter("from_storage", aes, 2), counter("to_storage", aes, 1)}}}},
		{Name: "counters of one API server of two", Answer: check.Unknown, Needs: []string{"--encryption-config"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Servers: []snapshot.Server{with, with}, Transformations: []snapshot.Transformation{counter("from_storage", aes, 2), counter("to_storage", aes, 1)}}}},
		{Name: "counters: fewer read than there are", Answer: check.Unknown, Needs: []string{"--encryption-since"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Transformations: []snapshot.Transformation{counter("from_storage", aes, 1), counter("to_storage", aes, 1)}}}},
		{Name: "counters: some read in clear", Answer: check.Partly, Findings: []string{"ReadInClear APIServer kube-apiserver at apiserver_storage_transformation_operations_total"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Transformations: []snapshot.Transformation{counter("from_storage", "identity", 1), counter("from_storage", aes, 9), counter("to_storage", aes, 1)}}}},
		{Name: "counters: written in clear", Answer: check.No, Findings: clear, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Transformations: []snapshot.Transformation{counter("to_storage", "", 1), counter("from_storage", aes, 4)}}}},
		{Name: "counters speak against the file", Answer: check.No, Findings: []string{"NotInForce APIServer kube-apiserver"}, Snapshot: snapshot.Snapshot{Secrets: both, Control: snapshot.Control{Encryption: config(t, began, "secrets: kms identity"), Transformations: []snapshot.Transformation{counter("to_storage", "identity", 3)}}}},
		{Name: "counters from before the file that is in force", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop", "ReadInClear APIServer kube-apiserver at apiserver_storage_transformation_operations_total"},
			Snapshot: snapshot.Snapshot{Secrets: both, Control: inForce(config(t, began, "secrets: kms identity"), counter("to_storage", "identity", 3), counter("from_storage", "identity", 2))}},
		{Name: "another file is in force", Answer: check.Unknown, Needs: []string{"sha256:other"}, Snapshot: snapshot.Snapshot{Secrets: fresh, Control: snapshot.Control{InForce: "sha256:other", Encryption: config(t, began, "secrets: kms")}}},
		{Name: "counters of other resources and of failures", Answer: check.Unknown, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Transformations: []snapshot.Transformation{{Resource: "configmaps", Type: "to_storage", Prefix: aes, Status: "OK", Count: 3}, {Resource: "secrets", Type: "to_storage", Prefix: aes, Status: "Unknown", Count: 3}}}}},
		// What others fail: EKS encrypts by itself since 1.28.
		{Name: "EKS 1.31", Answer: check.Yes, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "eks", Version: "v1.31.2-eks-7f9249a"}}},
		{Name: "EKS 1.27", Answer: check.Unknown, Needs: []string{"aws eks describe-cluster"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "eks", Version: "v1.27.9-eks-1"}}},
		{Name: "EKS of unknown version", Answer: check.Unknown, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "eks"}}},
		{Name: "GKE", Answer: check.Unknown, Needs: []string{"databaseEncryption"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "gke", Version: "v1.34.0-gke.1"}}},
	}
	for i := range cases {
		if s := &cases[i].Snapshot; s.Coverage == nil {
			s.Coverage = snapshot.Coverage{"secrets": {}}
		}
	}
	checktest.Run(t, sec01.Check(), cases)
}

// Who is named, and how many.
func TestNames(t *testing.T) {
	s := &snapshot.Snapshot{Coverage: snapshot.Coverage{"secrets": {}}, Control: snapshot.Control{Encryption: config(t, began, "secrets: aescbc identity")}}
	for range 250 {
		s.Secrets = append(s.Secrets, secret("shop", "old", checktest.Ago(20*checktest.Day)))
	}
	r := checktest.Judge(sec01.Check(), s, check.Settings{})
	if f := r.Findings[0]; f.Count != 250 || len(f.Affected) != 200 || f.Fix.Command != "kubectl get secrets -n shop -o json | kubectl replace -f -" {
		t.Errorf("%d, %d names, %q", f.Count, len(f.Affected), f.Fix.Command)
	}
	if !strings.Contains(r.Summary, "250 of 250") {
		t.Errorf("summary %q", r.Summary)
	}
}

// What is offered is taken by the API server.
func TestConfigurationIsWhole(t *testing.T) {
	e, err := control.Encryption("fix", []byte(sec01.Configuration))
	if err != nil || control.Providers(e, "secrets")[0].Kind != "kms" {
		t.Errorf("%+v, %v", e, err)
	}
}
