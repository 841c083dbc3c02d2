package operator

import (
	"os"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// articles are what stands behind each manifest of examples/articles, and what comes
// of it: the manifests themselves name no address.
func articles() map[string]struct {
	behind func(*world) // makes the store that the manifest names
	secret string
	want   map[string]string
} {
	return map[string]struct {
		behind func(*world)
		secret string
		want   map[string]string
	}{
		"database-password-from-aws.yaml": {func(w *world) {
			w.applyAWS("aws-secretsmanager.yaml")
			w.aws.Put("production/db/password", canary)
		}, "db-credentials", map[string]string{"password": canary}},
		"config-from-vault.yaml": {func(w *world) {
			w.vault.Put("my-app/config", `{"password":"`+canary+`","retries":3}`)
			w.apply(strings.ReplaceAll(store, "name: vault}", "name: vault-backend}"))
		}, "my-app-secrets", map[string]string{"config": `{"password":"` + canary + `","retries":3}`}},
	}
}

// The manifests that articles show are applied as they stand, by kubectl, and come to
// be Ready with the right data. One that is added without a store behind it fails here.
func TestArticles(t *testing.T) {
	const folder = "../../../examples/articles/"
	files, err := os.ReadDir("../../../examples/articles")
	if err != nil || len(files) == 0 {
		t.Fatal("no manifests of articles:", err)
	}
	known := articles()
	for _, file := range files {
		t.Run(file.Name(), func(t *testing.T) {
			article, ok := known[file.Name()]
			if !ok {
				t.Fatal("no store stands behind it: add one to articles()")
			}
			w := newWorld(t)
			article.behind(w)
			w.start(nil)
			w.kubectl("apply", "-f", folder+file.Name())
			w.secret(article.secret, article.want)
			w.es(article.secret, v1.ReasonSecretSynced, "")
			if out := w.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "-f", folder+file.Name()); !strings.Contains(out, "condition met") {
				t.Errorf("read as it was written it is not Ready: %s", out)
			}
		})
	}
	if len(known) != len(files) {
		t.Errorf("%d files, and stores behind %d", len(files), len(known))
	}
}
