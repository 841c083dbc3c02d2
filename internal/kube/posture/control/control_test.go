package control_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/control"
)

// canary is a key of 32 bytes that must never be told.
const canary = "canary-5d20-canary-5d20-canary-5"

var key = base64.StdEncoding.EncodeToString([]byte(canary))

func config(resources string) string {
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n" + resources
}

func silent(t *testing.T, what any) {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text) + fmt.Sprint(what); strings.Contains(s, "canary-5d20") || strings.Contains(s, key[:12]) {
		t.Errorf("a key is told: %s", s)
	}
}

// Which provider writes, of every way to name Secrets; as the API server's own
// transformerFromOverrides decides.
func TestProviders(t *testing.T) {
	aes := "  providers: [{aescbc: {keys: [{name: one, secret: " + key + "}]}}, {identity: {}}]\n"
	for name, c := range map[string]struct{ rules, want string }{
		"by name":                     {"- resources: [secrets]\n" + aes, "aescbc identity"},
		"the core group":              {"- resources: ['*.']\n" + aes, "aescbc identity"},
		"everything":                  {"- resources: ['*.*']\n" + aes, "aescbc identity"},
		"another":                     {"- resources: [configmaps]\n" + aes, ""},
		"another group":               {"- resources: ['*.apps', secrets.example.com]\n" + aes, ""},
		"identity first":              {"- resources: [secrets]\n  providers: [{identity: {}}, {secretbox: {keys: [{name: one, secret: " + key + "}]}}]\n", "identity secretbox"},
		"a name before a wildcard":    {"- resources: [secrets]\n  providers: [{identity: {}}]\n- resources: ['*.*']\n" + aes, "identity"},
		"one name in two entries":     {"- resources: [secrets]\n  providers: [{kms: {apiVersion: v2, name: k, endpoint: 'unix:///k.sock'}}]\n- resources: [secrets]\n" + aes, "kms aescbc identity"},
		"kms without a version is v1": {"- resources: [secrets]\n  providers: [{kms: {name: k, endpoint: 'unix:///k.sock'}}]\n", "kms"},
	} {
		e, err := control.Encryption("enc.yaml", []byte(config(c.rules)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, p := range control.Providers(e, "secrets") {
			got = append(got, p.Kind)
			if p.Kind == "kms" && p.APIVersion == "" {
				t.Errorf("%s: no version of KMS", name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
		silent(t, e)
	}
}

func TestWrongEncryption(t *testing.T) {
	short := base64.StdEncoding.EncodeToString([]byte("canary-5d20"))
	for name, text := range map[string]string{
		"no YAML":                 "a: [" + key,
		"another kind":            "apiVersion: v1\nkind: Secret\ndata: {a: " + key + "}\n",
		"another of its API":      "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n",
		"no kind":                 "resources: [{resources: [secrets]}]\n",
		"nothing":                 config("[]\n")[:0],
		"no rules":                config("[]\n"),
		"an unknown field":        config("- resources: [secrets]\n  provider: [{aescbc: {keys: [{name: one, secret: " + key + "}]}}]\n"),
		"a field twice":           config("- resources: [secrets]\n  providers: [{aescbc: {keys: [{name: one, secret: " + key + ", secret: " + key + "}]}}]\n"),
		"a short key":             config("- resources: [secrets]\n  providers: [{aescbc: {keys: [{name: one, secret: " + short + "}]}}]\n"),
		"no base64":               config("- resources: [secrets]\n  providers: [{secretbox: {keys: [{name: one, secret: '" + canary + "!'}]}}]\n"),
		"two kinds in one":        config("- resources: [secrets]\n  providers: [{identity: {}, aesgcm: {keys: [{name: one, secret: " + key + "}]}}]\n"),
		"no provider":             config("- resources: [secrets]\n  providers: []\n"),
		"a star":                  config("- resources: ['*']\n  providers: [{identity: {}}]\n"),
		"hidden":                  config("- resources: ['*.']\n  providers: [{identity: {}}]\n- resources: [secrets]\n  providers: [{identity: {}}]\n"),
		"kms over TCP":            config("- resources: [secrets]\n  providers: [{kms: {apiVersion: v2, name: k, endpoint: 'tcp://k'}}]\n"),
		"kms v3":                  config("- resources: [secrets]\n  providers: [{kms: {apiVersion: v3, name: k, endpoint: 'unix:///k'}}]\n"),
		"kms v2 with cache":       config("- resources: [secrets]\n  providers: [{kms: {apiVersion: v2, name: k, cachesize: 3, endpoint: 'unix:///k'}}]\n"),
		"two kms of one name":     config("- resources: [secrets]\n  providers: [{kms: {apiVersion: v2, name: k, endpoint: 'unix:///k'}}, {kms: {apiVersion: v2, name: k, endpoint: 'unix:///l'}}]\n"),
		"a name twice":            config("- resources: [secrets, secrets]\n  providers: [{identity: {}}]\n"),
		"overlapping":             config("- resources: [secrets, '*.*']\n  providers: [{identity: {}}]\n"),
		"a group that is no more": config("- resources: [events.events.k8s.io]\n  providers: [{identity: {}}]\n"),
		"keys are a number":       config("- resources: [secrets]\n  providers: [{aescbc: {keys: " + key + "}}]\n"),
	} {
		_, err := control.Encryption("enc.yaml", []byte(text))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "enc.yaml") {
			t.Errorf("%s: %v", name, err)
		}
		silent(t, fmt.Sprint(err))
	}
}

func TestAuditPolicy(t *testing.T) {
	text, err := control.AuditPolicy("policy.yaml", []byte("# "+canary+"\napiVersion: audit.k8s.io/v1\nkind: Policy\nmetadata: {annotations: {a: "+canary+"}}\nrules:\n- level: Metadata\n  resources: [{group: '', resources: [secrets]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	silent(t, string(text))
	p, err := control.LoadPolicy(text)
	if err != nil || len(p.Rules) != 1 || p.Rules[0].Resources[0].Resources[0] != "secrets" {
		t.Errorf("it comes back as %+v, %v", p, err)
	}
	for _, wrong := range []string{"", "a: [" + canary, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: " + canary + "}]\n", "apiVersion: v1\nkind: Policy\nrules: [{level: None}]\n"} {
		_, err := control.AuditPolicy("policy.yaml", []byte(wrong))
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", wrong, err)
		}
		silent(t, fmt.Sprint(err))
	}
}

func FuzzEncryption(f *testing.F) {
	f.Add([]byte(config("- resources: [secrets]\n  providers: [{aescbc: {keys: [{name: one, secret: " + key + "}]}}]\n")))
	f.Add([]byte(config("- resources: ['*.']\n  providers: [{kms: {name: k, endpoint: 'unix:///k.sock', timeout: 3s}}]\n")))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := control.Encryption("f", text)
		if err == nil {
			_ = control.Providers(e, "secrets")
			silent(t, e)
		}
	})
}

func FuzzAuditPolicy(f *testing.F) {
	f.Add([]byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, users: [a]}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := control.AuditPolicy("f", text)
		if err != nil {
			return
		}
		if again, err := control.AuditPolicy("f", out); err != nil || string(again) != string(out) {
			t.Errorf("%v: %q comes back as %q", err, out, again)
		}
	})
}
