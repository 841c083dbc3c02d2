package sec10_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec10"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var running = []snapshot.Server{{Name: "api", Flags: map[string]string{"audit-policy-file": "/p.yaml", "audit-log-path": "/log"}}}

// policy is a snapshot with these rules in force, before a catch-all of level
// Metadata.
func policy(t *testing.T, rules ...string) snapshot.Snapshot {
	t.Helper()
	return raw(t, append(rules, "{level: Metadata}")...)
}

func raw(t *testing.T, rules ...string) snapshot.Snapshot {
	t.Helper()
	text, err := control.AuditPolicy("p.yaml", []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- "+strings.Join(rules, "\n- ")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Snapshot{Control: snapshot.Control{AuditPolicy: text, AuditPlace: "p.yaml", Servers: running}}
}

const core = "resources: [{group: '', resources: "

func at(rule string, resources ...string) []string {
	var out []string
	for _, r := range resources {
		out = append(out, rule+" Policy audit-policy at "+r)
	}
	return out
}

// many are the names of n users.
func many(n int) string {
	var out []string
	for i := range n {
		out = append(out, "u"+strconv.Itoa(i))
	}
	return strings.Join(out, ", ")
}

func TestCheck(t *testing.T) {
	good := policy(t)
	unseen := policy(t)
	unseen.Control.Servers = nil
	logged := unseen
	logged.Activity = &snapshot.Activity{}
	silent := policy(t)
	silent.Control.Servers = []snapshot.Server{{Name: "api", Flags: map[string]string{"audit-policy-file": "/p.yaml"}}}
	ways := []string{"serviceaccounts/token", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "nodes/proxy", "roles", "clusterroles", "rolebindings", "clusterrolebindings"}
	checktest.Run(t, sec10.Check(), []checktest.Case{
		{Name: "nothing known", Answer: check.Unknown, Needs: []string{"--audit-policy"}},
		{Name: "only flags", Answer: check.Unknown, Needs: []string{"--audit-policy"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: running}}},
		{Name: "no flag", Answer: check.No, Findings: []string{"NotEnabled APIServer kube-apiserver"}, Snapshot: snapshot.Snapshot{Control: snapshot.Control{Servers: []snapshot.Server{{Name: "api"}}}}},
		{Name: "no backend", Answer: check.No, Findings: []string{"NotEnabled APIServer kube-apiserver"}, Snapshot: silent},
		{Name: "metadata of everything", Answer: check.Yes, Snapshot: good},
		{Name: "not seen in force", Answer: check.Unknown, Needs: []string{"--audit-log"}, Snapshot: unseen},
		{Name: "seen by a log", Answer: check.Yes, Snapshot: logged},
		{Name: "the default is None", Answer: check.Partly, Findings: at("Blind", ways...), Snapshot: raw(t, "{level: Metadata, "+core+"[secrets]}]}")},
		// What others pass: a rule about secrets of level Metadata that never comes to its turn.
		{Name: "hidden by a rule before it", Answer: check.No, Findings: at("Leak", "secrets", "configmaps"), Snapshot: policy(t, "{level: RequestResponse, verbs: [update], resources: [{group: ''}]}", "{level: Metadata, "+core+"[secrets, configmaps]}]}")},
		{Name: "one verb is left out", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, verbs: [watch], "+core+"[secrets]}]}")},
		{Name: "one user is left out", Answer: check.No, Findings: at("Blind", append([]string{"secrets"}, ways...)...), Snapshot: policy(t, "{level: None, users: [bob]}")},
		{Name: "a group is left out", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, userGroups: [admins], "+core+"[secrets]}]}")},
		{Name: "a namespace is left out", Answer: check.No, Findings: at("Blind", "secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "roles", "rolebindings"), Snapshot: policy(t, "{level: None, namespaces: [quiet]}")},
		{Name: "a Secret is left out", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, resources: [{group: '', resources: [secrets], resourceNames: [sh.helm]}]}")},
		{Name: "a ServiceAccount is left out, as one of a group", Answer: check.No, Findings: at("Blind", "secrets"),
			Snapshot: policy(t, "{level: None, users: ['system:serviceaccount:ci:bot'], userGroups: ['system:serviceaccounts'], "+core+"[secrets]}]}")},
		{Name: "a user is left out, as one of a group", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, users: [bob], userGroups: [admins], "+core+"[secrets]}]}")},
		{Name: "a ServiceAccount in a group that it cannot be in", Answer: check.Yes, Snapshot: policy(t, "{level: None, users: ['system:serviceaccount:ci:bot'], userGroups: [admins], "+core+"[secrets]}]}")},
		{Name: "ServiceAccounts are logged before those of a namespace are left out", Answer: check.Yes,
			Snapshot: policy(t, "{level: Metadata, userGroups: ['system:serviceaccounts'], "+core+"[secrets]}]}", "{level: None, userGroups: ['system:serviceaccounts:ci'], "+core+"[secrets]}]}")},
		{Name: "those of a namespace are left out", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, userGroups: ['system:serviceaccounts:ci'], "+core+"[secrets]}]}")},
		{Name: "who did not log in is left out", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, userGroups: ['system:unauthenticated'], "+core+"[secrets]}]}")},
		{Name: "more users than are asked about", Answer: check.Unknown, Needs: []string{"at most"}, Snapshot: policy(t, "{level: Metadata, users: ["+many(100)+"]}")},
		// A wildcard of subresources does name the resource in audit policies, other than in RBAC.
		{Name: "secrets/*", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, "+core+"['secrets/*']}]}")},
		{Name: "a rule without resources", Answer: check.No, Findings: at("Leak", "secrets", "configmaps", "serviceaccounts/token", "tokenreviews"), Snapshot: raw(t, "{level: RequestResponse}")},
		// What others fail: a rule of level None for what is no Secret, and a higher level for others.
		{Name: "Request of reads has no body", Answer: check.Yes, Snapshot: policy(t, "{level: Request, verbs: [get, list, watch], "+core+"[secrets, configmaps]}]}")},
		{Name: "Request of writes has", Answer: check.No, Findings: at("Leak", "secrets"), Snapshot: policy(t, "{level: Request, "+core+"[secrets]}]}")},
		{Name: "tokens are values", Answer: check.No, Findings: at("Leak", "serviceaccounts/token"), Snapshot: policy(t, "{level: RequestResponse, "+core+"[serviceaccounts/token]}]}")},
		{Name: "events and pods in full", Answer: check.Yes, Snapshot: policy(t, "{level: None, "+core+"[events]}]}", "{level: RequestResponse, "+core+"[pods]}]}", "{level: None, nonResourceURLs: ['/healthz*']}")},
		{Name: "Kubernetes' own reads are left out", Answer: check.Partly, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: None, userGroups: ['system:nodes'], verbs: [get, list, watch], "+core+"[secrets]}]}")},
		{Name: "no stage is left", Answer: check.No, Findings: at("Blind", "secrets"), Snapshot: policy(t, "{level: Metadata, omitStages: [RequestReceived, ResponseComplete, ResponseStarted, Panic], "+core+"[secrets]}]}")},
		{Name: "RequestReceived is left out", Answer: check.Yes, Snapshot: policy(t, "{level: Metadata, omitStages: [RequestReceived], "+core+"[secrets]}]}")},
	})
}

// The rule at fault is named, and who is affected.
func TestNames(t *testing.T) {
	s := policy(t, "{level: Metadata, verbs: [delete], "+core+"[secrets]}]}", "{level: None, users: [bob], "+core+"[secrets]}]}")
	f := checktest.Judge(sec10.Check(), &s, check.Settings{}).Findings[0]
	if !strings.Contains(f.Message, "rules[1]") || f.Place != "p.yaml" || len(f.Affected) != 1 || !strings.HasSuffix(f.Affected[0], "by bob") || strings.Contains(f.Affected[0], "delete,") {
		t.Errorf("%+v", f.Finding)
	}
}

// What is offered has no fault itself.
func TestPolicyIsGood(t *testing.T) {
	text, err := control.AuditPolicy("fix", []byte(sec10.Policy))
	if err != nil {
		t.Fatal(err)
	}
	s := &snapshot.Snapshot{Control: snapshot.Control{AuditPolicy: text, Servers: running}}
	if r := checktest.Judge(sec10.Check(), s, check.Settings{}); r.Answer != check.Yes || len(r.Findings) != 0 {
		t.Errorf("%s: %+v", r.Answer, r.Findings)
	}
}
