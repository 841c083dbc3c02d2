package aws_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	policy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	public  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	byMap   = `{"spec":{"resourcePolicy":{"policySourceRef":{"kind":"ConfigMap","name":"policy","key":"policy.json"}}}}`
	blocked = `{"spec":{"resourcePolicy":{"blockPublicPolicy":true,"policySourceRef":{"kind":"Secret","name":"policy","key":"policy.json"}}}}`
	none    = `{"spec":{"resourcePolicy":{}}}`
)

// A pushed secret has the policy that is named, which is written when it says something
// else, and taken away when that is asked for.
func TestResourcePolicy(t *testing.T) {
	w := newWriting(t, aws.SecretsManager, nil)
	write := func(key, metadata, document string) error {
		return w.Write(t.Context(), provider.Write{
			Place: provider.Place{Key: key}, Value: redact.FromString("canary"), Metadata: json.RawMessage(metadata), Document: redact.FromString(document),
		})
	}
	is := func(step, want string, puts int) {
		t.Helper()
		s, _ := w.state("db")
		if s.Policy != want || w.server.Count("PutResourcePolicy") != puts || s.Versions != 1 {
			t.Errorf("%s: policy %q by %d writes, %d versions; want %q by %d, and one", step, s.Policy, w.server.Count("PutResourcePolicy"), s.Versions, want, puts)
		}
	}
	do := func(metadata, document string) {
		t.Helper()
		if err := write("db", metadata, document); err != nil {
			t.Error(err)
		}
	}
	do(byMap, policy)
	is("made", policy, 1)
	do(byMap, strings.ReplaceAll(policy, ",", " ,\n"))
	is("the same, written otherwise", policy, 1)
	do(byMap, public)
	is("another", public, 2)
	do(blocked, policy)
	is("a third", policy, 3)
	do("", "")
	is("nothing said of it", policy, 3)
	do(none, "")
	do(none, "")
	is("taken away", "", 3)
	if n := w.server.Count("DeleteResourcePolicy"); n != 1 {
		t.Errorf("it is deleted %d times", n)
	}
	w.Refused(write("db", blocked, public), errs.Invalid, "PublicPolicyException")
	w.Refused(write("db", byMap, `{"canary":1}`), errs.Invalid, "MalformedPolicyDocumentException")
	for _, bad := range []string{"", "{}", "[]", "canary", `{"canary":`} {
		w.Refused(write("db", byMap, bad), errs.Invalid, `key "policy.json" of ConfigMap "policy"`, "JSON object")
	}
	w.Refused(write("db", byMap, `{"canary":"`+strings.Repeat("x", 20480)+`"}`), errs.TooLarge, "20480")
	is("what is refused changes nothing", "", 5)

	// A policy that cannot be set keeps a new value from who may read the old one.
	w.server.Fail("PutResourcePolicy", awstest.Fault{Status: 403, Code: "AccessDeniedException"})
	err := w.Write(t.Context(), provider.Write{Place: provider.Place{Key: "db"}, Value: redact.FromString("canary-new"), Metadata: json.RawMessage(byMap), Document: redact.FromString(policy)})
	w.Refused(err, errs.Denied, "setting the resource policy")
	w.server.Mend()
	is("the value stays", "", 6)

	ps := newWriting(t, aws.ParameterStore, nil)
	ps.Refused(ps.tryWrite("x", "", "canary", byMap), errs.Invalid, "resourcePolicy")
}
