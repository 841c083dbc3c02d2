package operator

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
)

// applyGCP applies an example, and gives Google what it asks for.
func (w *world) applyGCP(example string) {
	w.Helper()
	const email = "shop-secrets@my-project.iam.gserviceaccount.com"
	w.gcp.Account(email, "system:serviceaccount:"+w.ns+":secrets-reader", "system:serviceaccount:"+w.ns+":federated-reader")
	key := w.gcp.Key(w, email)
	for name, value := range map[string]string{
		"shop-db": `{"password":"` + canary + `-new"}`, "shop-settings-mode": "fast", "shop-settings-retries": "3",
		"shop-settings-other": canary, "shop-mail": `{"user":"shop","password":"` + canary + `"}`,
	} {
		if name == "shop-db" {
			w.gcp.Put(name, `{"password":"`+canary+`-old"}`)
		}
		w.gcp.Put(name, value)
		if name != "shop-settings-other" {
			w.gcp.Label(name, map[string]string{"team": "shop"})
		}
	}
	text, err := os.ReadFile("../../../examples/stores/" + example)
	if err != nil {
		w.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(text), "your-service-account-key", key))
}

// The examples of docs/stores/google-secret-manager.md: by workload identity and by
// federation, with tokens that the API server makes for that alone, and by a key.
func TestGCPExamples(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyGCP("gcpsm-workload-identity.yaml")
	w.secret("shop-db", map[string]string{"password": canary + "-new", "previous": canary + "-old", "team": "shop"})
	w.storeReady("google-secrets", v1.ReasonStoreValid, "")
	w.gcp.Forbid("secretmanager.versions.access")
	w.apply(strings.Replace(es("denied", "  data: [{secretKey: k, remoteRef: {key: shop-db}}]"), "{name: vault}", "{name: google-secrets}", 1))
	w.apply(strings.Replace(es("path", "  data: [{secretKey: k, remoteRef: {key: shop/db}}]"), "{name: vault}", "{name: google-secrets}", 1))
	w.es("denied", v1.ReasonSecretSyncedError, "secretmanager.versions.access")
	w.es("path", v1.ReasonSecretSyncedError, "no name of a secret")
	w.gcp.Mend()
	w.gcp.Fail("", gcptest.Fault{Code: codes.ResourceExhausted})
	w.apply(strings.Replace(es("late", "  data: [{secretKey: k, remoteRef: {key: shop-mail}}]"), "{name: vault}", "{name: google-secrets}", 1))
	w.es("late", v1.ReasonSecretSyncedError, "ResourceExhausted")
}

func TestGCPFederationExample(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyGCP("gcpsm-federation.yaml")
	w.secret("shop-settings", map[string]string{"shop-settings-mode": "fast", "shop-settings-retries": "3"})
	w.storeReady("google-secrets-federated", v1.ReasonStoreValid, "")
}

func TestGCPKeyExample(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyGCP("gcpsm-key.yaml")
	w.secret("shop-mail", map[string]string{"user": "shop", "password": canary})
}

// A value that changes in Secret Manager is in the Secret because a message of Pub/Sub
// came, long before the interval. A subscription that may not be read is told at the
// store, which goes on.
func TestGCPChanges(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.gcp.Forbid("pubsub.subscriptions.consume")
	w.applyGCP("gcpsm-changes.yaml")
	w.secret("shop-db", map[string]string{"password": canary + "-new"})
	w.storeEvent(reasonChangesRefused, "roles/pubsub.subscriber")
	w.storeReady("google-secrets", v1.ReasonStoreValid, "")
	w.connectedTo("google-secrets", "pubsub", 0)
	w.gcp.Mend()
	w.kubectl("annotate", "--overwrite", "secretstore", "google-secrets", v1.AnnotationChanges+"=pubsub:projects/my-project/topics/changes")
	w.storeReady("google-secrets", v1.ReasonInvalidProvider, "pubsub:projects/PROJECT/subscriptions/SUBSCRIPTION")
	w.kubectl("annotate", "--overwrite", "secretstore", "google-secrets", v1.AnnotationChanges+"="+gcptest.QueueAddress)
	w.storeReady("google-secrets", v1.ReasonStoreValid, "")
	w.connectedTo("google-secrets", "pubsub", 1)
	for i := range 3 {
		value := canary + "-" + strconv.Itoa(i)
		w.gcp.Put("shop-db", `{"password":"`+value+`"}`)
		w.gcp.Send(canary + " is no event")
		w.gcp.Changed("shop-db")
		w.secret("shop-db", map[string]string{"password": value})
	}
	if metrics := w.scrape(); !strings.Contains(metrics, `call="Notice"`) || strings.Contains(metrics, canary) {
		t.Error("messages are not counted, or a value is in the metrics")
	}
}
