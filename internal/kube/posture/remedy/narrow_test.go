package remedy

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// roleReader is Role team/reads of ServiceAccount team/app, whose pod uses Secret used.
func roleReader(t *testing.T) *World {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: "team", Name: "reads"}
	return world(t, "{containers: []}", Target{Namespace: "team", Name: "reads"},
		rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get", "list", "watch", "create"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}},
		rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "reads"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "app"}}},
		corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}, Spec: corev1.PodSpec{ServiceAccountName: "app", ImagePullSecrets: []corev1.LocalObjectReference{{Name: "used"}}}})
}

// A log that may not show what is read narrows nothing, until the user says so.
func TestNarrowByWeakLog(t *testing.T) {
	acts := func() []snapshot.Act { return []snapshot.Act{did("get", "secrets", "team", "db")} }
	hour := logged(0, acts()...)
	hour.From = hour.To.Add(-time.Hour)
	holes := logged(100, acts()...)
	holes.Lost = 3
	old := logged(100, acts()...)
	old.From, old.To = old.From.Add(-8*24*time.Hour), old.To.Add(-8*24*time.Hour)
	for says, log := range map[string]*snapshot.Activity{"is of 0 days": hour, "is of 89 days": logged(89, acts()...), "3 lines of the audit log": holes, "ended 8 days ago": old} {
		for _, secrets := range [][]string{nil, {"said"}} {
			p, err := narrow(roleReader(t), Options{Activity: log, Secrets: secrets})
			if err == nil {
				t.Fatalf("%s: it is not refused", says)
			}
			has(t, p, err, errs.Conflict, says, "-anyway")
		}
		p, err := narrow(roleReader(t), Options{Activity: log, Anyway: true})
		if err != nil {
			t.Fatal(err)
		}
		has(t, p, err, none, says, "- db\n")
	}
	p, err := narrow(roleReader(t), Options{Activity: logged(90, acts()...)})
	if err != nil {
		t.Fatal(err)
	}
	has(t, p, err, none, "- db\n", "!- used\n")
}

// What could not be read, or not to its end, is not taken for all there is.
func TestNarrowBlind(t *testing.T) {
	for resource, o := range map[string]Options{
		"roles": {Secrets: []string{"db"}}, "rolebindings": {Secrets: []string{"db"}, Anyway: true}, "pods": {Anyway: true},
	} {
		w := roleReader(t)
		w.Coverage[resource] = snapshot.Gap{Reason: "the list changed while it was read: try again"}
		p, err := narrow(w, o)
		if err == nil {
			t.Fatalf("without all %s it is not refused", resource)
		}
		has(t, p, err, errs.Denied, resource+" could not be read (the list changed while it was read: try again)")
	}
	w := roleReader(t)
	w.Coverage["pods"] = snapshot.Gap{Reason: "no right to list them"}
	p, err := narrow(w, Options{Secrets: []string{"db"}}) // of pods nothing is needed
	if err != nil {
		t.Fatal(err)
	}
	has(t, p, err, none, "- db\n")
}

// However many Secrets are read by name, each is named; all of them are not.
func TestNarrowManyNames(t *testing.T) {
	var acts []snapshot.Act
	var want []string
	for i := range 45 {
		acts = append(acts, did([]string{"get", "watch"}[i%2], "secrets", "team", fmt.Sprintf("s%d", i)))
		want = append(want, fmt.Sprintf("- s%d\n", i))
	}
	p, err := narrow(roleReader(t), Options{Activity: logged(100, acts...)})
	if err != nil {
		t.Fatal(err)
	}
	has(t, p, err, none, want...)
	p, err = narrow(roleReader(t), Options{Activity: logged(100, append(acts, did("get", "secrets", "team", "*"))...), Anyway: true})
	if err == nil {
		t.Fatal("it is not refused")
	}
	has(t, p, err, errs.Conflict, "get is asked of all Secrets", "or of more than can be told apart", "!watch is asked")
}
