package rotation_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const approvers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: approver, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: strongkeep-approver}
subjects: [{kind: User, name: approver, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: editor, namespace: NS}
rules: [{apiGroups: [strongkeep.io], resources: [rotations], verbs: [get, list, create, update, patch, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: editor, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: editor}
subjects: [{kind: User, name: editor, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: strongkeep.io/v1alpha1
kind: Rotation
metadata: {name: db, namespace: NS}
spec: {approval: Manual, target: {storeRef: {name: vault}, database: {role: app}}}
---
apiVersion: strongkeep.io/v1alpha1
kind: Rotation
metadata: {name: free, namespace: NS}
spec: {target: {storeRef: {name: vault}, database: {role: free}}}
`

// With deploy/approval, who may edit a Rotation does not thereby approve it, nor
// take the question away.
func TestApprovalIsAnotherRight(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "approval-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile("../../../../deploy/approval/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kubectl := func(stdin string, args ...string) error {
		_, err := testCluster.Kubectl(t.Context(), strings.NewReader(stdin), args...)
		return err
	}
	// The binding is about this namespace only: other tests have Rotations too.
	scoped := strings.Replace(string(policy), "  validationActions: [Deny]\n",
		"  validationActions: [Deny]\n  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "+ns.Name+"}}}\n", 1)
	if err := kubectl(scoped, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if err := kubectl(strings.ReplaceAll(approvers, "NS", ns.Name), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	as := func(who, name, patch string) error {
		return kubectl("", "--as="+who, "-n", ns.Name, "patch", "rotation", name, "--type=merge", "-p", patch)
	}
	word := func(name, value string) string {
		return fmt.Sprintf(`{"metadata":{"annotations":{"strongkeep.io/%s":%q}}}`, name, value)
	}
	// Policies, roles and bindings are in force some time after they are made.
	until := func(what string, f func() bool) {
		t.Helper()
		for limit := time.After(2 * time.Minute); !f(); {
			select {
			case <-limit:
				t.Fatalf("it never came to be that %s", what)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	// Each try says something new: what went through before the policy was in force would be no change the next time.
	tries := 0
	until("an editor is refused by the policy", func() bool {
		tries++
		err := as("editor", "db", word("approve", fmt.Sprintf("probe-%d", tries)))
		return err != nil && strings.Contains(err.Error(), `need the verb "approve"`)
	})
	until("an approver approves", func() bool { return as("approver", "db", word("approve", "7")) == nil })
	for what, tc := range map[string]struct{ name, patch, want string }{
		"approve":               {"db", word("approve", "8"), `need the verb "approve"`},
		"accept":                {"db", word("accept-unproven", "8"), `need the verb "approve"`},
		"confirm":               {"free", word("retire-confirmed", "8"), `need the verb "approve"`},
		"ask for nobody's word": {"db", `{"spec":{"approval":"Automatic"}}`, "to change that needs"},
		"say nothing of it":     {"db", `{"spec":{"approval":null}}`, "to change that needs"},
		"hold":                  {"db", word("hold", "lunch"), ""},
		"roll back":             {"db", word("rollback", "7"), ""},
		"start":                 {"db", word("rotate", "now"), ""},
		"finalizers":            {"db", `{"metadata":{"finalizers":["strongkeep.io/turning"]}}`, ""},
		"edit":                  {"db", `{"spec":{"class":"database"}}`, ""},
		"take a word back":      {"db", `{"metadata":{"annotations":{"strongkeep.io/approve":null}}}`, ""},
		"ask for somebody's":    {"free", `{"spec":{"suspend":true}}`, ""},
	} {
		switch err := as("editor", tc.name, tc.patch); {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want a refusal with %q", what, err, tc.want)
		}
	}
	forged := strings.Replace(strings.Split(approvers, "---")[3], "name: db,", "name: forged, annotations: {strongkeep.io/approve: '1'},", 1)
	if err := kubectl(strings.ReplaceAll(forged, "NS", ns.Name), "--as=editor", "create", "-f", "-"); err == nil || !strings.Contains(err.Error(), `need the verb "approve"`) {
		t.Errorf("a Rotation that is made approved: %v", err)
	}
	if err := kubectl("", "--as=editor", "-n", ns.Name, "delete", "rotation", "db"); err == nil || !strings.Contains(err.Error(), "to delete it") {
		t.Errorf("deleting what must be approved: %v", err)
	}
	if err := kubectl("", "--as=editor", "-n", ns.Name, "delete", "rotation", "free"); err != nil {
		t.Errorf("deleting what nobody approves: %v", err)
	}
	if err := as("editor", "db", `{"metadata":{"finalizers":null}}`); err != nil {
		t.Error(err)
	}
	if err := as("approver", "db", `{"spec":{"approval":"Automatic"}}`); err != nil {
		t.Errorf("an approver: %v", err)
	}
}
