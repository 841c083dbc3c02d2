package sec08_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec08"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func token(labels map[string]string) snapshot.Snapshot {
	return snapshot.Snapshot{Secrets: []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "t", Labels: labels}, Type: "kubernetes.io/service-account-token", Account: "web"}}}
}

// workload runs as ServiceAccount web.
func workload(kind string, change func(*snapshot.Template)) snapshot.Snapshot {
	w := snapshot.Workload{Meta: snapshot.Meta{Namespace: "shop", Name: "web"}, Group: "apps", Kind: kind, Template: snapshot.Template{Account: "web"}}
	if kind == "CronJob" {
		w.Group = "batch"
	}
	if change != nil {
		change(&w.Template)
	}
	return snapshot.Snapshot{Live: true, Workloads: []snapshot.Workload{w}}
}

// two run as ServiceAccount web.
func two() snapshot.Snapshot {
	s := workload("Deployment", nil)
	second := s.Workloads[0]
	second.Name = "worker"
	s.Workloads = append(s.Workloads, second)
	return s
}

func bind(s snapshot.Snapshot, who rbacv1.Subject) snapshot.Snapshot {
	s.RBAC = access.Objects{RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b"}, Subjects: []rbacv1.Subject{who}}}}
	return s
}

func annotated(s snapshot.Snapshot, key string) snapshot.Snapshot {
	s.Workloads[0].TemplateAnnotations = map[string]string{key: ""}
	return s
}

// everyone gives all ServiceAccounts a ClusterRole.
func everyone(s snapshot.Snapshot, binding, mark string) snapshot.Snapshot {
	meta := metav1.ObjectMeta{Name: binding, Labels: map[string]string{"kubernetes.io/bootstrapping": mark}}
	s.RBAC.ClusterRoles = []rbacv1.ClusterRole{{ObjectMeta: meta}}
	s.RBAC.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: binding}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:serviceaccounts"}}}}
	return s
}

// What everybody has is said, and no patch takes it away unseen. What Kubernetes gives
// everybody as it comes is none.
func TestRightsOfEverybody(t *testing.T) {
	s := everyone(workload("Deployment", nil), "all-view", "")
	f := checktest.Judge(sec08.Check(), &s, check.Settings{}).Findings[0]
	if !strings.Contains(f.Message, "ClusterRoleBinding all-view") || f.Fix.Patch != "" || f.Fix.Text == "" {
		t.Errorf("%+v", f.Finding)
	}
	s = everyone(workload("Deployment", nil), "system:service-account-issuer-discovery", "rbac-defaults")
	if f := checktest.Judge(sec08.Check(), &s, check.Settings{}).Findings[0]; !strings.Contains(f.Message, "no binding gives any right") || f.Fix.Patch == "" {
		t.Errorf("%+v", f.Finding)
	}
}

// servers are API servers that are told whether to extend tokens; "" is not told.
func servers(extend ...string) snapshot.Snapshot {
	var s snapshot.Snapshot
	for _, e := range extend {
		one := snapshot.Server{Name: "kube-apiserver"}
		if e != "" {
			one.Flags = map[string]string{"service-account-extend-token-expiration": e}
		}
		s.Control.Servers = append(s.Control.Servers, one)
	}
	return s
}

func account(s snapshot.Snapshot, automount *bool, annotations map[string]string) snapshot.Snapshot {
	s.Accounts = []snapshot.Account{{Meta: snapshot.Meta{Namespace: "shop", Name: "web", Annotations: annotations}, Automount: automount}}
	return s
}

func TestCheck(t *testing.T) {
	off, on := false, true
	needless := "NeedlessToken Deployment shop/web at spec.template.spec.automountServiceAccountToken"
	owned := workload("Deployment", func(t *snapshot.Template) { t.Automount = &off })
	owned.Pods = []snapshot.Pod{{Meta: snapshot.Meta{Namespace: "shop", Name: "web-1"}, Template: snapshot.Template{Account: "web"}, Workload: snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}}}
	cases := []checktest.Case{
		{Name: "none", Answer: check.Yes},
		{Name: "in use", Answer: check.No, Snapshot: token(map[string]string{"kubernetes.io/legacy-token-last-used": "2026-11-20"}), Findings: []string{"EndlessTokenInUse Secret shop/t"}},
		{Name: "not used for long", Answer: check.No, Snapshot: token(map[string]string{"kubernetes.io/legacy-token-last-used": "2025-11-20"}), Findings: []string{"EndlessToken Secret shop/t"}},
		{Name: "never used", Answer: check.No, Snapshot: token(nil), Findings: []string{"EndlessToken Secret shop/t"}},
		{Name: "refused already", Answer: check.Partly, Snapshot: token(map[string]string{"kubernetes.io/legacy-token-last-used": "2024-11-20", "kubernetes.io/legacy-token-invalid-since": "2026-01-01"}), Findings: []string{"InvalidToken Secret shop/t"}},
		{Name: "an hour", Answer: check.Yes, Snapshot: bind(workload("Deployment", func(t *snapshot.Template) { t.Tokens = []snapshot.Token{{Audience: "vault", Seconds: 3600}} }), rbacv1.Subject{Kind: "ServiceAccount", Name: "web"})},
		{Name: "a year", Answer: check.Partly, Snapshot: bind(workload("Deployment", func(t *snapshot.Template) { t.Tokens = []snapshot.Token{{Seconds: 31536000}} }), rbacv1.Subject{Kind: "ServiceAccount", Name: "web"}),
			Findings: []string{"LongToken Deployment shop/web at spec.template.spec.volumes.projected.serviceAccountToken[0].expirationSeconds"}},
		{Name: "a token without rights", Answer: check.Yes, Snapshot: workload("Deployment", nil), Findings: []string{needless}},
		{Name: "a token with rights", Answer: check.Yes, Snapshot: bind(workload("Deployment", nil), rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"})},
		{Name: "rights of another of its name", Answer: check.Yes, Snapshot: bind(workload("Deployment", nil), rbacv1.Subject{Kind: "ServiceAccount", Namespace: "prod", Name: "web"}), Findings: []string{needless}},
		{Name: "rights by a group", Answer: check.Yes, Snapshot: bind(workload("Deployment", nil), rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:shop"})},
		{Name: "rights by the name of its user", Answer: check.Yes, Snapshot: bind(workload("Deployment", nil), rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:shop:web"})},
		{Name: "off in the account", Answer: check.Yes, Snapshot: account(workload("Deployment", nil), &off, nil)},
		{Name: "off in the account, on in the pod", Answer: check.Yes, Snapshot: account(workload("Deployment", func(t *snapshot.Template) { t.Automount = &on }), &off, nil), Findings: []string{needless}},
		{Name: "an identity of a cloud", Answer: check.Yes, Snapshot: account(workload("Deployment", nil), nil, map[string]string{"eks.amazonaws.com/role-arn": "x"})},
		{Name: "who logs in to a vault", Answer: check.Yes, Snapshot: account(workload("Deployment", nil), nil, map[string]string{"vault.hashicorp.com/alias-metadata-team": ""})},
		{Name: "a vault's agent comes in", Answer: check.Yes, Snapshot: annotated(workload("Deployment", nil), "vault.hashicorp.com/agent-inject")},
		{Name: "a mesh's proxy logs in", Answer: check.Yes, Snapshot: annotated(workload("Deployment", nil), "consul.hashicorp.com/connect-inject")},
		{Name: "another annotation", Answer: check.Yes, Snapshot: annotated(workload("Deployment", nil), "example.com/agent-inject"), Findings: []string{needless}},
		{Name: "rights of everybody", Answer: check.Yes, Snapshot: everyone(workload("Deployment", nil), "all-view", ""), Findings: []string{needless}},
		{Name: "the pods of a workload are not asked again", Answer: check.Yes, Snapshot: owned},
		{Name: "injected for a year", Answer: check.Partly, Snapshot: servers("", "false"), Findings: []string{"ExtendedTokens APIServer kube-apiserver at service-account-extend-token-expiration"}},
		{Name: "injected for a year, as is said", Answer: check.Partly, Snapshot: servers("true"), Findings: []string{"ExtendedTokens APIServer kube-apiserver at service-account-extend-token-expiration"}},
		{Name: "injected for an hour", Answer: check.Yes, Snapshot: servers("false", "0")},
		{Name: "two run as one with rights", Answer: check.Yes, Snapshot: bind(two(), rbacv1.Subject{Kind: "ServiceAccount", Name: "web"}), Findings: []string{"SharedAccount ServiceAccount shop/web"}},
		{Name: "two run as one by a group's rights", Answer: check.Yes, Snapshot: bind(two(), rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:shop"})},
		{Name: "files without bindings", Answer: check.Yes, Snapshot: snapshot.Snapshot{Workloads: workload("Deployment", nil).Workloads}},
		{Name: "a bare pod", Answer: check.Yes, Snapshot: snapshot.Snapshot{Live: true, Pods: []snapshot.Pod{{Meta: snapshot.Meta{Namespace: "shop", Name: "p"}, Template: snapshot.Template{Account: "web"}, Workload: snapshot.Ref{Kind: "Pod", Namespace: "shop", Name: "p"}}}},
			Findings: []string{"NeedlessToken Pod shop/p at spec.automountServiceAccountToken"}},
	}
	for i := range cases {
		if c := &cases[i]; c.Snapshot.Control.Servers == nil {
			c.Snapshot.Control = servers("false").Control
		}
	}
	checktest.Run(t, sec08.Check(), cases)
}

// TestFlagsNotSeen: whether tokens that are injected live a year, nobody knows then.
func TestFlagsNotSeen(t *testing.T) {
	checktest.Run(t, sec08.Check(), []checktest.Case{
		{Name: "nothing is wrong otherwise", Answer: check.Partly, Needs: []string{"flags of API servers"}, Snapshot: workload("Deployment", nil), Findings: []string{"NeedlessToken Deployment shop/web at spec.template.spec.automountServiceAccountToken"}},
		{Name: "something is wrong all the same", Answer: check.No, Snapshot: token(nil), Findings: []string{"EndlessToken Secret shop/t"}},
	})
}

// TestThePatchReachesThePod: of a CronJob it is three templates deep.
func TestThePatchReachesThePod(t *testing.T) {
	s := workload("CronJob", nil)
	r := checktest.Judge(sec08.Check(), &s, check.Settings{})
	var out batchv1.CronJob
	if err := yaml.UnmarshalStrict([]byte(r.Findings[0].Fix.Patch), &out); err != nil {
		t.Fatal(err)
	}
	if off := out.Spec.JobTemplate.Spec.Template.Spec.AutomountServiceAccountToken; off == nil || *off {
		t.Errorf("%+v", out.Spec)
	}
}
