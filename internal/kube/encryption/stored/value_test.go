package stored

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
)

// sealed is what an API server with KMS v2 writes.
func sealed(t testing.TB, provider, id string) string {
	t.Helper()
	raw, err := proto.Marshal(&kmstypes.EncryptedObject{
		EncryptedData: []byte("ciphertext"), KeyID: id, EncryptedDEKSource: []byte("seed"),
		Annotations:            map[string][]byte{"version.kms.strongkeep.io": []byte("1")},
		EncryptedDEKSourceType: kmstypes.EncryptedDEKSourceType_HKDF_SHA256_XNONCE_AES_GCM_SEED,
	})
	if err != nil {
		t.Fatal(err)
	}
	return "k8s:enc:kms:v2:" + provider + ":" + string(raw)
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		want  Under
	}{
		"protobuf":          {"k8s\x00\n\x0c", Under{Kind: Clear}},
		"json":              {`{"kind":"Secret"}`, Under{Kind: Clear}},
		"empty":             {"", Under{Kind: Clear}},
		"almost a prefix":   {"k8s:enc", Under{Kind: Clear}},
		"kms v2":            {sealed(t, "strongkeep", "sk1-0a"), Under{KMSv2, "strongkeep", "sk1-0a"}},
		"kms v2, no id":     {sealed(t, "strongkeep", ""), Under{Kind: Broken, Name: "strongkeep"}},
		"kms v2, long id":   {sealed(t, "strongkeep", strings.Repeat("x", 1025)), Under{Kind: Broken, Name: "strongkeep"}},
		"kms v2, cut":       {sealed(t, "strongkeep", "sk1-0a")[:40], Under{Kind: Broken, Name: "strongkeep"}},
		"kms v2, empty":     {"k8s:enc:kms:v2:strongkeep:", Under{Kind: Broken}},
		"kms v2, no name":   {"k8s:enc:kms:v2::x", Under{Kind: Broken}},
		"kms v2, no end":    {"k8s:enc:kms:v2:strongkeep", Under{Kind: Broken}},
		"kms v1":            {"k8s:enc:kms:v1:old:\x00\x01", Under{KMSv1, "old", ""}},
		"aescbc":            {"k8s:enc:aescbc:v1:key1:data", Under{AESCBC, "key1", ""}},
		"aesgcm":            {"k8s:enc:aesgcm:v1:key1:data", Under{AESGCM, "key1", ""}},
		"secretbox":         {"k8s:enc:secretbox:v1:key1:data", Under{Secretbox, "key1", ""}},
		"unknown provider":  {"k8s:enc:rot13:v1:key1:data", Under{Kind: Broken}},
		"name without end":  {"k8s:enc:aescbc:v1:" + strings.Repeat("n", 300) + ":data", Under{Kind: Broken}},
		"prefix, not first": {"xk8s:enc:aescbc:v1:key1:data", Under{Kind: Clear}},
	} {
		if got := Parse([]byte(c.value)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// FuzzParse holds what is read against the API server's own message.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sealed(f, "strongkeep", "sk1-0a")))
	f.Add([]byte("k8s:enc:aescbc:v1:key1:data"))
	f.Add([]byte("k8s\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		u := Parse(value)
		if (u.Kind == Clear) != !strings.HasPrefix(string(value), "k8s:enc:") {
			t.Fatalf("%q is %v", value, u)
		}
		if u.Kind != KMSv2 {
			return
		}
		var object kmstypes.EncryptedObject
		body := value[len("k8s:enc:kms:v2:")+len(u.Name)+1:]
		// A key id that is not UTF-8 is one the API server cannot read either, and is
		// counted as it stands.
		if err := proto.Unmarshal(body, &object); err == nil && object.GetKeyID() != u.KeyID {
			t.Fatalf("key id %q, the API server reads %q", u.KeyID, object.GetKeyID())
		}
	})
}

func TestFolders(t *testing.T) {
	for text, want := range map[string]string{
		"secrets":                      "/registry/secrets/",
		"services":                     "/registry/services/specs/",
		"deployments.apps":             "/registry/deployments/ /registry/apps/deployments/",
		"leases.coordination.k8s.io":   "/registry/leases/ /registry/coordination.k8s.io/leases/",
		"certificates.cert-manager.io": "/registry/cert-manager.io/certificates/",
	} {
		r, err := parseResource(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(folders("/registry", r), " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "*", "*.*", "Secrets", "a/b", "*.apps"} {
		if _, err := parseResource(text); err == nil {
			t.Errorf("%q is a resource", text)
		}
	}
}

func TestStoredAt(t *testing.T) {
	for key, want := range map[string]string{
		"secrets/a/b":                   "secrets a/b true",
		"services/specs/a/b":            "services a/b true",
		"services/endpoints/a/b":        "endpoints a/b true",
		"minions/a":                     "nodes a true",
		"example.com/widgets/a/b":       "widgets.example.com a/b true",
		"apiregistration.k8s.io/apis/a": "apis.apiregistration.k8s.io a true",
		"ranges/serviceips":             "  false",
		"masterleases/10.0.0.1":         "  false",
		"secretsandmore/a":              "secretsandmore a true",
		"alone":                         "alone  true",
	} {
		resource, name, ok := storedAt(key)
		if got := fmt.Sprint(resource, " ", name, " ", ok); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
