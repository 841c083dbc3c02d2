package operator

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// noneForgotten fails if the namespace has an ExternalSecret that names lack: an example
// that was added and of which no test says what comes of it.
func (w *world) noneForgotten(names ...string) {
	w.Helper()
	var list v1.ExternalSecretList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	for i := range list.Items {
		if !slices.Contains(names, list.Items[i].Name) {
			w.Errorf("of ExternalSecret %s of the examples no test says what comes of it", list.Items[i].Name)
		}
	}
	if len(list.Items) != len(names) {
		w.Errorf("there are %d ExternalSecrets, want %d", len(list.Items), len(names))
	}
}

// The example of docs/stores/fake.md.
func TestFakeExample(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.apply(example(t, "fake.yaml"))
	w.secret("try-out", map[string]string{"url": "postgres://shop:not-a-secret-either@db.example/shop", "former": "not-a-secret"})
	w.storeReady("try-out", v1.ReasonStoreValid, "")
}

// Every manifest of these folders is one that the API server takes as it stands, and a
// test of this package reads it by its name, or its whole folder.
func TestEveryExampleIsApplied(t *testing.T) {
	w := newWorld(t)
	tests := sources(t)
	seen := 0
	for _, folder := range []string{"articles", "generators", "operator", "push", "reload", "stores"} {
		files, err := filepath.Glob("../../../examples/" + folder + "/*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples in %s: %v", folder, err)
		}
		whole := strings.Contains(tests, `os.ReadDir("../../../examples/`+folder+`")`)
		for _, file := range files {
			seen++
			if !whole && !strings.Contains(tests, `"`+filepath.Base(file)+`"`) && !strings.Contains(tests, "/"+folder+"/"+filepath.Base(file)+`"`) {
				t.Errorf("no test applies examples/%s/%s", folder, filepath.Base(file))
			}
			w.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)
		}
	}
	t.Logf("%d examples", seen)
}

// sources are the texts of this package's tests.
func sources(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		if file == "examples_test.go" { // which names folders, but applies only what it says
			all.WriteString(`"fake.yaml"`)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
