package operator

import (
	"os"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

// applyAWS applies an example, and gives AWS what it asks for.
func (w *world) applyAWS(example string) {
	w.Helper()
	w.aws.AddRole("arn:aws:iam::123456789012:role/shop-secrets-reader", awstest.Role{Subject: "system:serviceaccount:" + w.ns + ":secrets-reader"})
	w.aws.AddRole("arn:aws:iam::123456789012:role/shop-parameters", awstest.Role{By: "user/example", ExternalID: "shop"})
	w.aws.Put("shop/db", `{"password":"`+canary+`-old"}`)
	w.aws.Put("shop/db", `{"password":"`+canary+`-new"}`)
	w.aws.PutParameter("/shop/api/token", canary)
	w.aws.PutParameter("/shop/settings", `{"mode":"fast","retries":3}`)
	text, err := os.ReadFile("../../../examples/stores/" + example)
	if err != nil {
		w.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(text), "your-secret-access-key", awstest.KeySecret))
}

// The examples of docs/stores/aws.md: by the role of a ServiceAccount, whose token
// the API server makes for STS alone, and by a key; one login for each store.
func TestAWSExamples(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyAWS("aws-secretsmanager.yaml")
	w.applyAWS("aws-parameterstore.yaml")
	w.secret("shop-settings", map[string]string{"token": canary, "mode": "fast", "retries": "3"})
	w.secret("shop-db", map[string]string{"password": canary + "-new", "previous": canary + "-old"})
	w.storeReady("aws-secrets", v1.ReasonStoreValid, "")
	w.storeReady("aws-parameters", v1.ReasonStoreValid, "")
	if a, b := w.aws.Count("AssumeRoleWithWebIdentity"), w.aws.Count("AssumeRole"); a != 1 || b != 1 {
		t.Errorf("%d and %d logins, want 1 and 1", a, b)
	}
	// What AWS says is what the condition says.
	w.apply(strings.Replace(es("denied", "  data: [{secretKey: k, remoteRef: {key: absent}}]"), "{name: vault}", "{name: aws-secrets}", 1))
	w.es("denied", v1.ReasonSecretSyncedError, `secret "absent" does not exist in region eu-central-1`)
	w.aws.Fail("GetSecretValue", awstest.Fault{Status: 400, Code: "AccessDeniedException"})
	w.kubectl("annotate", "es", "denied", "force-sync=1")
	w.es("denied", v1.ReasonSecretSyncedError, "AccessDeniedException")
}
