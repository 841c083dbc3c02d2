package managed_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/managed"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const (
	eks = `{"cluster": {"name": "prod", "version": "1.31", "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:eu-central-1:1:key/a"}}]}}`
	gke = `{"name": "prod", "selfLink": "https://container.googleapis.com/v1/projects/p/locations/l/clusters/prod", "databaseEncryption": {"state": "ENCRYPTED", "currentState": "CURRENT_STATE_ENCRYPTED", "keyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"}}`
	aks = `{"name": "prod", "type": "Microsoft.ContainerService/ManagedClusters", "securityProfile": {"azureKeyVaultKms": {"enabled": true, "keyId": "https://v.vault.azure.net/keys/k/1"}}}`
)

// What a cloud says is never that every value is encrypted.
func TestJudge(t *testing.T) {
	less := func(text string, replace ...string) string { return strings.NewReplacer(replace...).Replace(text) }
	for name, c := range map[string]struct {
		cloud  managed.Cloud
		answer string
		want   string
		detail string
	}{
		"eks":                     {managed.EKS, eks, stored.Yes, "under arn:aws:kms:eu-central-1:1:key/a"},
		"eks without":             {managed.EKS, `{"cluster": {"name": "prod"}}`, stored.No, "names no key for secrets"},
		"eks of something else":   {managed.EKS, less(eks, `["secrets"]`, `["pods"]`), stored.No, "names no key"},
		"gke":                     {managed.GKE, gke, stored.Yes, "under projects/p"},
		"gke, older":              {managed.GKE, less(gke, `"currentState": "CURRENT_STATE_ENCRYPTED", `, ""), stored.Yes, "currentState not told"},
		"gke, asked for":          {managed.GKE, less(gke, "CURRENT_STATE_ENCRYPTED", "CURRENT_STATE_ENCRYPTION_PENDING"), stored.No, "currentState CURRENT_STATE_ENCRYPTION_PENDING"},
		"gke, went wrong":         {managed.GKE, less(gke, "CURRENT_STATE_ENCRYPTED", "CURRENT_STATE_ENCRYPTION_ERROR"), stored.No, "ERROR"},
		"gke without":             {managed.GKE, less(gke, `"ENCRYPTED"`, `"DECRYPTED"`), stored.No, "state is DECRYPTED"},
		"gke without a word":      {managed.GKE, `{"name": "prod", "selfLink": "https://x/clusters/prod"}`, stored.No, "not told"},
		"aks":                     {managed.AKS, aks, stored.Yes, "under https://v.vault.azure.net/keys/k/1"},
		"aks, off":                {managed.AKS, less(aks, "true", "false"), stored.No, "is not enabled"},
		"aks without a key":       {managed.AKS, less(aks, "https://v.vault.azure.net/keys/k/1", ""), stored.No, "names no key"},
		"aks without the profile": {managed.AKS, `{"name": "prod", "type": "Microsoft.ContainerService/managedClusters"}`, stored.No, "is not enabled"},
	} {
		r, err := managed.Judge(c.cloud, "f", []byte(c.answer))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Answers[0].Answer != stored.NotChecked || r.Answers[1].Answer != c.want || !strings.Contains(r.Answers[1].Detail, c.detail) || r.Holds() || !strings.Contains(r.Source, "cluster prod") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for name, c := range map[string]struct {
		cloud  managed.Cloud
		answer string
	}{
		"no JSON": {managed.EKS, "cluster: prod"}, "another cloud's": {managed.EKS, gke}, "of another": {managed.GKE, aks}, "of a third": {managed.AKS, eks},
		"a list": {managed.GKE, "[" + gke + "]"}, "another type": {managed.AKS, strings.Replace(aks, `"https://v`, `{"a": "https://v`, 1)}, "nothing": {managed.AKS, ""},
	} {
		if r, err := managed.Judge(c.cloud, "f", []byte(c.answer)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, answer := range []string{eks, gke, aks} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, cloud := range []managed.Cloud{managed.EKS, managed.GKE, managed.AKS} {
			if r, err := managed.Judge(cloud, "f", answer); err == nil && r.Holds() {
				t.Errorf("%+v", r)
			}
		}
	})
}
