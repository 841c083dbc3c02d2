package operator

import (
	"os"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
)

// applyAzure applies an example of a store.
func (w *world) applyAzure(example string) {
	w.Helper()
	text, err := os.ReadFile("../../../examples/stores/" + example)
	if err != nil {
		w.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(text), "your-client-secret", canary+"-client"))
}

// The examples of docs/stores/azure-key-vault.md: by the application of a ServiceAccount,
// whose token the API server makes for the exchange alone, and by a secret.
func TestAzureExamples(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.azure.App("aaaaaaaa-0000-0000-0000-000000000001", azuretest.App{Subject: "system:serviceaccount:" + w.ns + ":secrets-reader"})
	w.azure.App("aaaaaaaa-0000-0000-0000-000000000002", azuretest.App{Secret: canary + "-client"})
	for name, value := range map[string]string{
		"shop-db": `{"password":"` + canary + `"}`, "shop-settings-mode": "fast", "shop-settings-retries": "3", "shop-settings-other": canary,
	} {
		w.azure.Put(name, value)
		if name != "shop-settings-other" {
			w.azure.Tag("secrets/"+name, map[string]string{"team": "shop"})
		}
	}
	w.azure.PutCertificate("shop-ca", []byte("0\x03\x02\x01\x00"))
	w.azure.PutKey("shop-signing", map[string]any{"kty": "oct-HSM"})
	for _, example := range []string{"azurekv-workload-identity.yaml", "azurekv-service-principal.yaml"} {
		w.applyAzure(example)
	}
	w.secret("shop-settings", map[string]string{"shop-settings-mode": "fast", "shop-settings-retries": "3"})
	w.es("shop-db", v1.ReasonSecretSynced, "")
	w.storeReady("azure-secrets", v1.ReasonStoreValid, "")
	w.storeReady("azure-by-secret", v1.ReasonStoreValid, "")
	w.apply(strings.Replace(es("absent", "  data: [{secretKey: k, remoteRef: {key: cert/absent}}]"), "{name: vault}", "{name: azure-secrets}", 1))
	w.es("absent", v1.ReasonSecretSyncedError, `"cert/absent" does not exist in this vault`)
}

// A value that changes in a vault is in the Secret because a message of Event Grid came,
// long before the interval.
func TestAzureChanges(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.azure.App("aaaaaaaa-0000-0000-0000-000000000001", azuretest.App{Subject: "system:serviceaccount:" + w.ns + ":secrets-reader"})
	w.azure.Put("shop-db", `{"password":"`+canary+`"}`)
	text, err := os.ReadFile("../../../examples/stores/azurekv-changes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(string(text))
	w.secret("shop-db", map[string]string{"password": canary})
	w.connectedTo("azure-secrets", "azure-queue", 1)
	for i := range 3 {
		value := canary + "-" + strconv.Itoa(i)
		w.azure.Put("shop-db", `{"password":"`+value+`"}`)
		w.azure.Send(canary + " is no event")
		w.azure.Changed("shop-db")
		w.secret("shop-db", map[string]string{"password": value})
	}
}
