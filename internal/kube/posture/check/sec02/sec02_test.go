package sec02_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec02"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func config(providers ...snapshot.EncryptionProvider) snapshot.Snapshot {
	return snapshot.Snapshot{Control: snapshot.Control{Encryption: &snapshot.Encryption{Place: "enc.yaml", Rules: []snapshot.Rule{{Resources: []string{"secrets"}, Providers: providers}}}}}
}

func counters(prefixes ...string) snapshot.Snapshot {
	var s snapshot.Snapshot
	for _, p := range prefixes {
		s.Control.Transformations = append(s.Control.Transformations, snapshot.Transformation{Resource: "secrets", Type: "to_storage", Prefix: p, Status: "OK", Count: 1})
	}
	return s
}

func TestCheck(t *testing.T) {
	v2 := snapshot.EncryptionProvider{Kind: "kms", APIVersion: "v2", Name: "akeyless"}
	local := snapshot.EncryptionProvider{Kind: "aescbc", Keys: 1}
	none := []string{"NoEncryption APIServer kube-apiserver"}
	file := []string{"LocalKey APIServer kube-apiserver"}
	old := []string{"KMSv1 APIServer kube-apiserver"}
	checktest.Run(t, sec02.Check(), []checktest.Case{
		{Name: "nothing known", Answer: check.Unknown, Needs: []string{"--encryption-config"}},
		{Name: "KMS v2 of any name", Answer: check.Yes, Snapshot: config(v2)},
		{Name: "KMS v2, and a key from before", Answer: check.Yes, Findings: []string{"LocalKeyLeft APIServer kube-apiserver at aescbc"}, Snapshot: config(v2, local)},
		{Name: "KMS v1", Answer: check.Partly, Findings: old, Snapshot: config(snapshot.EncryptionProvider{Kind: "kms", APIVersion: "v1"})},
		{Name: "a key in a file", Answer: check.No, Findings: file, Snapshot: config(local)},
		{Name: "KMS only reads", Answer: check.No, Findings: file, Snapshot: config(local, v2)},
		{Name: "identity before KMS", Answer: check.No, Findings: none, Snapshot: config(snapshot.EncryptionProvider{Kind: "identity"}, v2)},
		{Name: "KMS for another resource", Answer: check.No, Findings: none, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Encryption: &snapshot.Encryption{Rules: []snapshot.Rule{{Resources: []string{"configmaps"}, Providers: []snapshot.EncryptionProvider{v2}}}}}}},
		{Name: "counters: v2", Answer: check.Yes, Snapshot: counters("k8s:enc:kms:v2:cloud:")},
		{Name: "counters: v1", Answer: check.Partly, Findings: old, Snapshot: counters("k8s:enc:kms:v1:cloud:")},
		{Name: "counters: the worst counts", Answer: check.No, Findings: file, Snapshot: counters("k8s:enc:kms:v2:cloud:", "k8s:enc:secretbox:v1:one:")},
		{Name: "counters: clear", Answer: check.No, Findings: none, Snapshot: counters("identity")},
		{Name: "no flag", Answer: check.No, Findings: none, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: []snapshot.Server{{Name: "api"}}}}},
		{Name: "EKS", Answer: check.Yes, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "eks", Version: "v1.33.1-eks-1"}}},
		{Name: "AKS", Answer: check.Unknown, Needs: []string{"az aks show"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "aks", Version: "v1.33.1"}}},
	})
}
