package sec02_test

import (
	"testing"
	"time"

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

// beside is a configuration, and what speaks for or against its being in force.
func beside(s snapshot.Snapshot, change func(*snapshot.Control)) snapshot.Snapshot {
	change(&s.Control)
	return s
}

func TestCheck(t *testing.T) {
	v2 := snapshot.EncryptionProvider{Kind: "kms", APIVersion: "v2", Name: "akeyless"}
	local := snapshot.EncryptionProvider{Kind: "aescbc", Keys: 1}
	none := []string{"NoEncryption APIServer kube-apiserver"}
	file := []string{"LocalKey APIServer kube-apiserver"}
	old := []string{"KMSv1 APIServer kube-apiserver"}
	kms := map[string]int{"kms-v2/strongkeep": 3}
	checktest.Run(t, sec02.Check(), []checktest.Case{
		{Name: "nothing known", Answer: check.Unknown, Needs: []string{"--encryption-config"}},
		{Name: "a report: KMS v2", Answer: check.Yes, Snapshot: report(kms)},
		{Name: "a report: KMS v1 too", Answer: check.Partly, Findings: old, Snapshot: report(map[string]int{"kms-v2/strongkeep": 3, "kms-v1/old": 1})},
		{Name: "a report: a key in a file too", Answer: check.No, Findings: file, Snapshot: report(map[string]int{"kms-v2/strongkeep": 3, "aescbc/key1": 1})},
		{Name: "a report: API servers differ", Answer: check.Unknown, Needs: []string{"one configuration"}, Snapshot: report(kms, func(c *snapshot.Control) { c.Stored.Configuration = snapshot.Differs })},
		{Name: "a report: not all API servers were asked", Answer: check.Unknown, Needs: []string{"one configuration"}, Snapshot: report(kms, func(c *snapshot.Control) { c.Stored.Configuration = "not checked" })},
		{Name: "a report: one that differs takes no no back", Answer: check.No, Findings: file, Snapshot: report(map[string]int{"aescbc/key1": 1}, func(c *snapshot.Control) { c.Stored.Configuration = snapshot.Differs })},
		{Name: "a report: read in clear since", Answer: check.Unknown, Needs: []string{"one configuration"}, Snapshot: report(kms, func(c *snapshot.Control) {
			c.Started, c.Transformations = checktest.Now.Add(time.Minute), []snapshot.Transformation{{Resource: "secrets", Type: "from_storage", Prefix: "identity", Status: "OK", Count: 2}}
		})},
		{Name: "a report of too many keys", Answer: check.Unknown, Needs: []string{"fewer keys"}, Snapshot: report(map[string]int{"kms-v2/strongkeep": 3, "others": 1})},
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
		{Name: "KMS v2 in a file that no API server has", Answer: check.No, Findings: none, Snapshot: beside(config(v2), func(c *snapshot.Control) { c.Servers = []snapshot.Server{{Name: "api"}} })},
		{Name: "KMS v2 in a file, and clear text is written", Answer: check.No, Findings: []string{"NotInForce APIServer kube-apiserver"}, Snapshot: beside(config(v2), func(c *snapshot.Control) { c.Transformations = counters("identity").Control.Transformations })},
		{Name: "KMS v2 in a file, and clear text is written too", Answer: check.No, Findings: []string{"NotInForce APIServer kube-apiserver"}, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Transformations = counters("k8s:enc:kms:v2:akeyless:", "identity").Control.Transformations
		})},
		{Name: "KMS v2 in a file, and another cipher is written", Answer: check.No, Findings: []string{"NotInForce APIServer kube-apiserver"}, Snapshot: beside(config(v2), func(c *snapshot.Control) { c.Transformations = counters("k8s:enc:aescbc:v1:").Control.Transformations })},
		{Name: "KMS v2 in a file, KMS v1 in force", Answer: check.No, Findings: []string{"NotInForce APIServer kube-apiserver"}, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Transformations = counters("k8s:enc:kms:v1:akeyless:").Control.Transformations
		})},
		{Name: "KMS v2 in a file, taken up while the API server ran", Answer: check.Unknown, Needs: []string{"counters"}, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Transformations = counters("k8s:enc:kms:v2:akeyless:", "k8s:enc:aescbc:v1:").Control.Transformations
		})},
		{Name: "KMS v2 in the file that is in force, clear text from before", Answer: check.Yes, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Transformations, c.Encryption.Hash, c.InForce = counters("identity", "k8s:enc:aescbc:v1:").Control.Transformations, "sha256:a", "sha256:a"
		})},
		{Name: "another file is in force", Answer: check.Unknown, Needs: []string{"sha256:b"}, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Encryption.Hash, c.InForce = "sha256:a", "sha256:b"
		})},
		{Name: "KMS v2 in a file, and in force", Answer: check.Yes, Snapshot: beside(config(v2), func(c *snapshot.Control) {
			c.Transformations = counters("k8s:enc:kms:v2:akeyless:").Control.Transformations
		})},
		{Name: "counters: KMS and clear", Answer: check.No, Findings: none, Snapshot: counters("k8s:enc:kms:v2:cloud:", "identity")},
		{Name: "counters of one API server of three", Answer: check.Unknown, Needs: []string{"--encryption-config"}, Snapshot: beside(counters("k8s:enc:kms:v2:cloud:"), func(c *snapshot.Control) {
			with := map[string]string{"encryption-provider-config": "/etc/enc.yaml"}
			c.Servers = []snapshot.Server{{Name: "a", Flags: with}, {Name: "b", Flags: with}, {Name: "c", Flags: with}}
		})},
		{Name: "no flag", Answer: check.No, Findings: none, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: []snapshot.Server{{Name: "api"}}}}},
		{Name: "EKS", Answer: check.Yes, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "eks", Version: "v1.33.1-eks-1"}}},
		{Name: "AKS", Answer: check.Unknown, Needs: []string{"az aks show"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Managed: "aks", Version: "v1.33.1"}}},
	})
}

// report is a cluster of which nothing is known but a report of what lies in etcd.
func report(under map[string]int, change ...func(*snapshot.Control)) snapshot.Snapshot {
	s := snapshot.Snapshot{
		Live: true, Coverage: snapshot.Coverage{"secrets": {}}, Namespaces: []snapshot.Namespace{{Meta: snapshot.Meta{Name: "kube-system", UID: "c1"}}},
		Control: snapshot.Control{Stored: &snapshot.Stored{Place: "r.json", Cluster: "c1", Time: checktest.Now, Current: true, Values: 4, Under: under, Configuration: snapshot.Same}},
	}
	for _, c := range change {
		c(&s.Control)
	}
	return s
}
