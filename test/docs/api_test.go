package docs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/crds"
)

var (
	fence  = regexp.MustCompile("(?s)```.*?```")
	quoted = regexp.MustCompile("`[^`]+`")
	word   = regexp.MustCompile(`\w+`)
)

// terms are the words that a page has between backquotes.
func terms(t *testing.T, page string) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, q := range quoted.FindAllString(fence.ReplaceAllString(string(content), ""), -1) {
		for _, w := range word.FindAllString(q, -1) {
			all[w] = true
		}
	}
	return all
}

// fields adds the fields of a schema, each with where it stands; those of levels below
// deepest are left out, and so is what a selector of labels is made of.
func fields(schema *apiextensionsv1.JSONSchemaProps, at string, deepest int, to map[string]string) {
	if schema == nil || deepest == 0 {
		return
	}
	for name := range schema.Properties {
		if name == "matchLabels" || name == "matchExpressions" {
			continue
		}
		to[name] = at + "." + name
		below := schema.Properties[name]
		fields(&below, at+"."+name, deepest-1, to)
	}
	if schema.Items != nil {
		fields(schema.Items.Schema, at+"[]", deepest, to)
	}
	if schema.AdditionalProperties != nil {
		fields(schema.AdditionalProperties.Schema, at+"{}", deepest, to)
	}
}

// Every field of the definitions that are the External Secrets Operator's is on the page
// that says which test shows it; those of generators, as far as they are not another
// kind's, on the page of generators.
func TestEveryFieldIsOnThePage(t *testing.T) {
	all, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, raw := range all {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		page, deepest, parts := "external-secrets-api.md", 100, []string{"spec", "status"}
		switch {
		case crd.Spec.Group == "generators.external-secrets.io" && crd.Spec.Names.Kind != "GeneratorState": // whose fields nobody writes
			page, deepest, parts = "generators.md", 1, []string{"spec"}
		case crd.Spec.Group != "external-secrets.io":
			continue
		}
		have, found := terms(t, page), map[string]string{}
		for i := range crd.Spec.Versions {
			for _, part := range parts {
				schema := crd.Spec.Versions[i].Schema.OpenAPIV3Schema.Properties[part]
				fields(&schema, part, deepest, found)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			if seen++; !have[name] {
				t.Errorf("docs/%s does not name %s of %s", page, found[name], strings.ToLower(crd.Spec.Names.Kind))
			}
		}
	}
	if seen < 150 {
		t.Errorf("only %d fields were looked for", seen)
	}
}
