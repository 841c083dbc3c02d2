package rotation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// clientProof sets spec.proof.clients.
func (w *world) clientProof(p v1alpha1.ClientProof) {
	w.Helper()
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db"}}
	if err := testClient.Patch(w.Context(), rot, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"proof":{"clients":%q}}}`, p))); err != nil {
		w.Fatal(err)
	}
}

// Who reads the credential from the vault itself, by the official client, is
// found by an operator that may ask, and said to be unknown by one that may not;
// the turn waits until it has read the new version, or its token has ended.
func TestClientsOfTheVault(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.settled()
	w.clientProof(v1alpha1.ClientsRequired)
	w.nextSecond()
	w.ask(v1alpha1.AnnotationRotate, "first") // nobody has an old one
	w.done(1)

	token := w.vault.Policy("client-"+w.ns, `path "database/alternating-creds/app" { capabilities = ["read"] }`)
	app := w.vault.NewClient(token)
	read := func() string {
		t.Helper()
		s, err := app.Logical().ReadWithContext(t.Context(), "database/alternating-creds/app")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s.Data["password"])
	}
	secrets := []string{token, read()}
	about, err := app.Auth().Token().LookupSelfWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, about.Data["accessor"].(string))

	w.ask(v1alpha1.AnnotationRotate, "second")
	rot := w.rotation("held for want of a right", func(rot *v1alpha1.Rotation) bool { return rot.Status.HeldFor == "ConsumersUnknown" })
	if s := &rot.Status; !strings.Contains(s.HeldMessage, `the capability "update" on "sys/readers/database/alternating-creds/app"`) || s.HeldFrom != v1alpha1.PhaseStaged || s.Proof.Complete || s.Proof.Clients == nil || s.Proof.Clients.Complete {
		t.Errorf("held: %q, from %s, proof %+v", s.HeldMessage, s.HeldFrom, s.Proof)
	}
	right := operatorPolicy + `path "sys/readers/database/alternating-creds/app" { capabilities = ["update"] }`
	if err := w.vault.Sys().PutPolicy("operator-"+w.ns, right); err != nil {
		t.Fatal(err)
	}
	rot = w.rotation("waiting for the client", func(rot *v1alpha1.Rotation) bool {
		c := meta.FindStatusCondition(rot.Status.Conditions, v1alpha1.ConditionProgressing)
		return rot.Status.Phase == v1alpha1.PhaseProving && c != nil && strings.Contains(c.Message, "clients of the vault that do not have it: token")
	})
	c := rot.Status.Proof.Clients
	if c.Total != 1 || c.Proven != 0 || !c.Complete || len(c.Evidence) != 1 || c.Evidence[0].Version != "1" || c.Evidence[0].Address == "" || c.Evidence[0].LastRead == nil || !rot.Status.Proof.Complete {
		t.Errorf("waiting: %+v", rot.Status.Proof)
	}
	secrets = append(secrets, read())
	rot = w.done(2)
	if c := rot.Status.Proof.Clients; c == nil || c.Total != 1 || c.Proven != 1 || !c.Evidence[0].Proven || c.Evidence[0].Version != "2" || !meta.IsStatusConditionTrue(rot.Status.Conditions, v1alpha1.ConditionProven) {
		t.Errorf("done: %+v, %+v", rot.Status.Proof, rot.Status.Conditions)
	}
	statement := fmt.Sprint(w.statement(rot))
	if !strings.Contains(statement, "clients") || !strings.Contains(statement, "lastRead") {
		t.Errorf("the statement does not name the client: %s", statement)
	}

	w.ask(v1alpha1.AnnotationRotate, "third")
	w.rotation("waiting for the client again", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn == 3 && rot.Status.Phase == v1alpha1.PhaseProving && rot.Status.Proof.Clients != nil && len(rot.Status.Proof.Clients.Evidence) == 1 && rot.Status.Proof.Clients.Evidence[0].Missing != ""
	})
	if err := app.Auth().Token().RevokeSelfWithContext(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	rot = w.done(3)
	if c := rot.Status.Proof.Clients; c.Total != 1 || c.Ended != 1 || c.Proven != 0 {
		t.Errorf("ended: %+v", c)
	}
	for _, secret := range secrets {
		for where, text := range map[string]string{"object": fmt.Sprintf("%+v", rot), "log": w.log.String(), "statement": statement, "statement of turn 3": fmt.Sprint(w.statement(rot))} {
			if strings.Contains(text, secret) {
				t.Errorf("a password, token or accessor is in the %s", where)
			}
		}
	}
	w.leaks()
}

// nextSecond waits for the clock's next second: statuses have whole ones, and who read before an audit
// device was enabled is not known, so that what is made in the same second has to be held.
func (w *world) nextSecond() {
	w.Helper()
	now := time.Now()
	select {
	case <-w.Context().Done():
		w.Fatal(w.Context().Err())
	case <-time.After(now.Truncate(time.Second).Add(time.Second).Sub(now)):
	}
}

// statement is what the vault has of the turn that ended last.
func (w *world) statement(rot *v1alpha1.Rotation) map[string]any {
	w.Helper()
	s, err := w.vault.Logical().ReadWithContext(w.Context(), rot.Status.Statement)
	if err != nil || s == nil {
		w.Fatalf("statement %q: %v", rot.Status.Statement, err)
	}
	return s.Data
}
