package ledger_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/ledger"
)

// vault answers what it is told to.
type vault struct {
	post, get error
	kept      string // what is there already
	asked     []string
}

func (v *vault) Call(_ context.Context, method, path string, _ any) (json.RawMessage, error) {
	v.asked = append(v.asked, method+" "+path)
	if method == http.MethodPost {
		return nil, v.post
	}
	return json.RawMessage(v.kept), v.get
}

func (*vault) Locate(path string) string { return path }

// A statement that was refused because there is one: whose it is decides, and a
// read that fails says nothing of that.
func TestStore(t *testing.T) {
	const ours, theirs = `{"statement":{"uid":"u-1"}}`, `{"statement":{"uid":"u-2"}}`
	refused := errs.New(errs.Invalid, "turn 7 has another statement")
	for _, tc := range []struct {
		name  string
		vault vault
		kind  errs.Kind
		text  string // "": it is stored
		reads bool
	}{
		{name: "stored"},
		{name: "stored before, in other words", vault: vault{post: refused, kept: ours}, reads: true},
		{name: "another's", vault: vault{post: refused, kept: theirs}, kind: errs.Invalid, text: "has another statement", reads: true},
		{name: "none is there", vault: vault{post: refused, get: errs.New(errs.NotExist, "no statement")}, kind: errs.Invalid, text: "has another statement", reads: true},
		{name: "an outage while it was read", vault: vault{post: refused, get: errs.New(errs.Unavailable, "connection refused")}, kind: errs.Unavailable, text: "reading the statement of turn 7 at evidence/statements/shop/db/7", reads: true},
		{name: "no right to read", vault: vault{post: refused, get: errs.New(errs.Denied, `give the capability "read"`)}, kind: errs.Denied, text: `reading the statement of turn 7 at evidence/statements/shop/db/7, which the vault may have already: give the capability "read"`, reads: true},
		{name: "an answer that is none", vault: vault{post: refused, kept: `<html>`}, kind: errs.Unavailable, text: "is no statement", reads: true},
		{name: "an outage while it was stored", vault: vault{post: errs.New(errs.Unavailable, "connection refused"), kept: ours}, kind: errs.Unavailable, text: "storing the statement"},
		{name: "no right to store", vault: vault{post: errs.New(errs.Denied, "403"), kept: ours}, kind: errs.Denied, text: "storing the statement"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "u-1"}}
			where, err := ledger.Ledger{Mount: "evidence"}.Store(t.Context(), &tc.vault, rot, v1alpha1.PendingStatement{Turn: 7, Statement: `{}`})
			switch {
			case tc.text == "" && (err != nil || where != "evidence/statements/shop/db/7"):
				t.Errorf("%q, %v", where, err)
			case tc.text != "" && (!errs.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) || where != ""):
				t.Errorf("%q, %v (%v), want %q (%v)", where, err, errs.KindOf(err), tc.text, tc.kind)
			}
			if reads := len(tc.vault.asked) > 1; reads != tc.reads {
				t.Errorf("asked %v", tc.vault.asked)
			}
		})
	}
}

// A statement says what was seen when the old credential was closed, and no more of
// the removal than the target itself knows.
func TestStatementSaysWhatWasSeen(t *testing.T) {
	two := int32(2)
	rot := &v1alpha1.Rotation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "u-1"},
		Status:     v1alpha1.RotationStatus{Turn: 7, Phase: v1alpha1.PhaseDone, Version: "7", PreviousVersion: "6", PublishedAt: &metav1.Time{Time: time.Unix(1_900_000_000, 0)}},
	}
	rot.Status.Honoured = map[string]string{v1alpha1.AnnotationAccept: "7"}
	// Two of three pods went while the closed credential was watched.
	rot.Status.Proof = v1alpha1.ProofStatus{Pods: 1, PodsProven: 1, OldSessions: &two, NewSessions: &two, SessionsPartial: "sees its own sessions only"}
	told := ledger.Turn{Rotation: rot, Seen: true, Pods: []v1alpha1.PodEvidence{
		{Namespace: "shop", Pod: "batch-1", Missing: "nobody restarts it"}, {Namespace: "shop", Pod: "web-1", Proven: true}, {Namespace: "shop", Pod: "web-2", Proven: true},
	}, Removal: "a person said so"}
	s := told.Statement()
	if s.Pods.Total != 3 || s.Pods.Proven != 2 || s.Pods.Omitted != 0 || len(s.Pods.Evidence) != 3 {
		t.Errorf("pods %+v", s.Pods)
	}
	if len(s.Unproven) != 1 || s.Unproven[0] != "shop/batch-1: nobody restarts it" {
		t.Errorf("accepted: %q", s.Unproven)
	}
	if s.Backend == nil || s.Backend.Partial != "sees its own sessions only" {
		t.Errorf("backend %+v", s.Backend)
	}
	if s.Retired == nil || s.Retired.Proven || s.Retired.Text != "a person said so" {
		t.Errorf("retired %+v", s.Retired)
	}
	told.Removal, told.Tried = "a login was refused", true
	if s = told.Statement(); !s.Retired.Proven || s.Retired.Text != "a login was refused" {
		t.Errorf("retired %+v", s.Retired)
	}
	told.Removal, told.Tried = "", false
	if s = told.Statement(); s.Retired.Proven || s.Retired.Text == "" {
		t.Errorf("a target that says nothing: %+v", s.Retired)
	}
}
