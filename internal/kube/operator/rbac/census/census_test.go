package census

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// show writes names shortly.
func show(c *Census) string {
	var lines []string
	named := c.Named()
	worked, others := c.Namespaces()
	for _, ns := range append(worked, others...) {
		n := named[ns]
		lines = append(lines, fmt.Sprintf("%s read %v write %v as %v", ns, n.Read, n.Write, n.Accounts))
	}
	return strings.Join(lines, "; ")
}

const (
	esHead    = "apiVersion: external-secrets.io/v1beta1\nkind: ExternalSecret\nmetadata: {name: es, namespace: a}\nspec: "
	psHead    = "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: {name: ps, namespace: a}\nspec: "
	storeHead = "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: s, namespace: a}\nspec: {provider: "
	wideHead  = "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: s}\nspec: {conditions: [{namespaceSelector: {}, namespaces: [x]}], provider: "
	genHead   = "apiVersion: generators.external-secrets.io/v1alpha1\n"
)

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		esHead + "{dataFrom: [{extract: {key: secret/name}}]}":                                                                    "a read [] write [es] as []",
		esHead + "{target: {name: other, template: {templateFrom: [{secret: {name: tpl, items: []}}, {configMap: {name: cm}}]}}}": "a read [tpl] write [other] as []",
		esHead + "{target: {creationPolicy: None}}":                                                                               "a read [] write [] as []",
		esHead + "{target: {manifest: {apiVersion: v1, kind: ConfigMap}}}":                                                        "a read [] write [] as []",
		esHead + "{target: {creationPolicy: Merge, name: m}}":                                                                     "a read [] write [m] as []",
		psHead + "{selector: {secret: {name: src}}, template: {templateFrom: [{secret: {name: tpl}}]}}":                           "a read [src tpl] write [] as []",
		psHead + "{selector: {secret: {name: src}}, data: [{match: {}, metadata: {spec: {resourcePolicy: {policySourceRef: {kind: Secret, name: pol, key: k}}}}}], dataTo: [{metadata: {spec: {resourcePolicy: {policySourceRef: {kind: ConfigMap, name: cm, key: k}}}}}]}": "a read [pol src] write [] as []",
		storeHead + "{vault: {server: x, auth: {tokenSecretRef: {name: t, key: k}}, caProvider: {type: Secret, name: ca}}}}":                                                                                                                                                "a read [ca t] write [] as []",
		storeHead + "{vault: {headers: {name: h}, caProvider: {type: ConfigMap, name: ca}, auth: {kubernetes: {role: r, serviceAccountRef: {name: sa, audiences: [v]}}}}}}":                                                                                                 "a read [] write [] as [sa]",
		storeHead + "{vault: {auth: {jwt: {kubernetesServiceAccountToken: {serviceAccountRef: {name: sa}}}}}}}":                                                                                                                                                             "a read [] write [] as [sa]",
		storeHead + "{vault: {auth: {appRole: {roleRef: {name: r, key: k}, secretRef: {name: s}}}}}}":                                                                                                                                                                       "a read [r s] write [] as []",
		storeHead + "{aws: {auth: {secretRef: {accessKeyIDSecretRef: {name: id, key: k}, secretAccessKeySecretRef: {name: key, key: k}}, jwt: {serviceAccountRef: {name: sa}}}}}}":                                                                                          "a read [id key] write [] as [sa]",
		storeHead + "{gcpsm: {auth: {workloadIdentityFederation: {credConfig: {name: cm, key: k}, serviceAccountRef: {name: sa}}}}}}":                                                                                                                                       "a read [] write [] as [sa]",
		storeHead + "{azurekv: {serviceAccountRef: {name: sa}, authSecretRef: {clientId: {name: id, key: k}, clientSecret: {name: s, key: k}}}}}":                                                                                                                           "a read [id s] write [] as [sa]",
		storeHead + "{kubernetes: {authRef: {name: kubeconfig}, auth: {serviceAccount: {name: sa}, token: {bearerToken: {name: t}}}}}}":                                                                                                                                     "a read [kubeconfig t] write [] as [sa]",
		storeHead + "{webhook: {url: x, headers: {name: no}, body: {name: no}, result: {name: no}, secrets: [{name: alias, secretRef: {name: s}}]}}}":                                                                                                                       "a read [s] write [] as []",
		storeHead + "{fake: {data: [{key: a, value: b}], name: x}}}":                                                                                                                                                                                                        "a read [] write [] as []",
		wideHead + "{vault: {auth: {tokenSecretRef: {name: t, namespace: b, key: k}, kubernetes: {serviceAccountRef: {name: sa, namespace: c}}}}}}":                                                                                                                         "b read [t] write [] as []; c read [] write [] as [sa]",
		wideHead + "{vault: {auth: {tokenSecretRef: {name: t, key: k}}}}}":                                                                                                                                                                                                  "",
		genHead + "kind: GithubAccessToken\nmetadata: {name: g, namespace: a}\nspec: {auth: {privateKey: {secretRef: {name: pem, key: k}}}}":                                                                                                                                "a read [pem] write [] as []",
		genHead + "kind: VaultDynamicSecret\nmetadata: {name: g, namespace: a}\nspec: {parameters: {name: no}, provider: {auth: {kubernetes: {serviceAccountRef: {name: sa}}}}}":                                                                                            "a read [] write [] as [sa]",
		genHead + "kind: ClusterGenerator\nmetadata: {name: g}\nspec: {kind: X, generator: {x: {auth: {secretRef: {name: t}}}}}\n---\n" + esHead + "{}":                                                                                                                     "a read [t] write [es] as []",
		"kind: List\napiVersion: v1\nitems:\n- {apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: one, namespace: a}}\n- {apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: two, namespace: b}}":                          "a read [] write [one] as []; b read [] write [two] as []",
		"# nothing\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: x}":                                                                                                                                                                                                 "",
	} {
		var c Census
		if err := c.Add("f", strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := show(&c); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// What no role can name is refused, and what is wrong is, without a quote of it.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		psHead + "{selector: {secret: {selector: {matchLabels: {a: b}}}}}":                     {errs.Unsupported, "chooses Secrets by labels"},
		"apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: x}": {errs.Unsupported, "chosen by labels"},
		esHead + "{target: canary}":   {errs.Invalid, "f: document 1"},
		psHead + "{selector: canary}": {errs.Invalid, "f: document 1"},
		storeHead + "canary":          {errs.Invalid, "not YAML"},
		"a: [canary":                  {errs.Invalid, "not YAML"},
		"a: canary":                   {errs.Invalid, "no Kubernetes object"},
		"kind: List\napiVersion: v1\nitems: [{kind: SecretStore, apiVersion: external-secrets.io/v1, spec: canary}, {a: b}]": {errs.Invalid, "document 1, item 2"},
	} {
		var c Census
		err := c.Add("f", strings.NewReader(text))
		if errs.KindOf(err) != want.kind || !strings.Contains(fmt.Sprint(err), want.words) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Every example can be counted, and its references are found: each name that stands in a
// reference of its text.
func TestExamples(t *testing.T) {
	count := 0
	for _, dir := range []string{"articles", "operator", "push", "stores", "generators"} {
		files, err := filepath.Glob("../../../../../examples/" + dir + "/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := Census{Namespace: "here"}
			err = c.Add(file, strings.NewReader(string(text)))
			if errs.Is(err, errs.Unsupported) {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			count++
			refers := strings.Contains(string(text), "SecretRef:") || strings.Contains(string(text), "serviceAccountRef:")
			if refers && !strings.Contains(show(&c), "read [") {
				t.Errorf("%s refers to something, and nothing is found", file)
			}
		}
	}
	if count < 10 {
		t.Errorf("%d examples", count)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add(esHead + "{}")
	f.Add(storeHead + "{vault: {auth: {tokenSecretRef: {name: t}}}}}")
	f.Fuzz(func(t *testing.T, text string) {
		c := Census{Namespace: "here"}
		if err := c.Add("f", strings.NewReader(text)); err != nil {
			return
		}
		for ns, n := range c.Named() {
			for _, name := range append(append(n.Read, n.Write...), n.Accounts...) {
				if name == "" {
					t.Errorf("a name of %s is empty, which to a role is any", ns)
				}
			}
		}
	})
}
