package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/chart"
)

// This binary renders charts too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == chart.Command {
		if err := chart.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// canary is a value that no error may tell, and word one that is a name too.
const canary, word = "canary-62c1", "canary62c1"

// shop is a chart with one below it.
var shop = map[string]string{
	"Chart.yaml":             "apiVersion: v2\nname: shop\nversion: 1.2.3\ndependencies: [{name: cache, version: 1.0.0, condition: cache.enabled}]\n",
	"values.yaml":            "password: changeme\nreplicas: 1\nlabels: {a: b}\nhosts: [one, two]\ncache: {enabled: false, size: 1}\n",
	"values.schema.json":     `{"$ref": "file:///etc/passwd"}`,
	"templates/_helpers.tpl": `{{ define "shop.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}`,
	"templates/NOTES.txt":    "Thank you",
	"templates/db.yaml": `kind: Secret
metadata: {name: {{ include "shop.name" . }}, namespace: {{ .Release.Namespace }}, labels: {{ toJson .Values.labels }}}
stringData: {password: {{ .Values.password | quote }}, hosts: {{ join "," .Values.hosts | quote }}}
{{- with lookup "v1" "Secret" "shop" "old" }}
old: true
{{- end }}
`,
	"crds/x.yaml":                       "kind: Secret\nmetadata: {name: '{{ .Release.Name }}'}\n",
	"templates/empty.yaml":              "{{ if false }}kind: X{{ end }}\n",
	"charts/cache/Chart.yaml":           "apiVersion: v2\nname: cache\nversion: 1.0.0\n",
	"charts/cache/templates/cache.yaml": "kind: ConfigMap\nsize: {{ .Values.size }}\n",
}

// folder writes a chart, with changes; a file of no text is left out.
func folder(t *testing.T, changes map[string]string) string {
	t.Helper()
	all := maps.Clone(shop)
	maps.Copy(all, changes)
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range all {
		if text != "" {
			write(t, filepath.Join(dir, name), text)
		}
	}
	return dir
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// pack makes an archive of a chart.
func pack(t *testing.T, all map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(all[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(all[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "shop-1.2.3.tgz"), out.String())
}

func below(prefix string, all map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range all {
		out[prefix+name] = text
	}
	return out
}

func render(t *testing.T, r chart.Request) map[string]string {
	t.Helper()
	files, err := chart.Render(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		out[f.Name] = f.Text
	}
	return out
}

func TestRender(t *testing.T) {
	more := write(t, filepath.Join(t.TempDir(), "more.yaml"), "password: "+canary+"\nlabels: {c: d}\nhosts: [three]\n")
	last := write(t, filepath.Join(t.TempDir(), "last.yaml"), "cache: {enabled: true}\nlabels: {c: e}\n")
	for name, at := range map[string]string{"a folder": folder(t, nil), "an archive": pack(t, below("shop/", shop))} {
		plain := render(t, chart.Request{Chart: at, Namespace: "east"})
		want := "kind: Secret\nmetadata: {name: shop-shop, namespace: east, labels: {\"a\":\"b\"}}\nstringData: {password: \"changeme\", hosts: \"one,two\"}\n"
		if len(plain) != 2 || plain["shop/templates/db.yaml"] != want {
			t.Errorf("%s: %q", name, plain)
		}
		full := render(t, chart.Request{Chart: at, Namespace: "east", Release: "blue", Values: []string{more, last}})
		want = "kind: Secret\nmetadata: {name: blue-shop, namespace: east, labels: {\"a\":\"b\",\"c\":\"e\"}}\nstringData: {password: \"" + canary + "\", hosts: \"three\"}\n"
		if len(full) != 3 || full["shop/templates/db.yaml"] != want || full["shop/crds/x.yaml"] != shop["crds/x.yaml"] || full["shop/charts/cache/templates/cache.yaml"] != "kind: ConfigMap\nsize: 1\n" {
			t.Errorf("%s, with values: %q", name, full)
		}
	}
}

// What is wrong with a chart is told by its place, and never with a value.
func TestWrong(t *testing.T) {
	secret := write(t, filepath.Join(t.TempDir(), "values.yaml"), "password: "+canary+"\nreplicas: "+canary+"\n")
	broken := write(t, filepath.Join(t.TempDir(), "broken.yaml"), "a: 1\n"+canary+": [\n")
	list := write(t, filepath.Join(t.TempDir(), "list.yaml"), "- "+canary+"\n")
	code := write(t, filepath.Join(t.TempDir(), "code.yaml"), "code: '{{ "+word+" }}'\nfield: '{{ .Capabilities."+word+" }}'\n")
	template := func(text string) map[string]string { return map[string]string{"templates/db.yaml": text} }
	for name, c := range map[string]struct {
		changes map[string]string
		values  string
		want    string
	}{
		"no Chart.yaml":              {map[string]string{"Chart.yaml": ""}, secret, "it has no Chart.yaml"},
		"Chart.yaml without it":      {map[string]string{"Chart.yaml": "apiVersion: v2\nversion: 1.0.0\n"}, secret, "Chart.yaml: chart.metadata.name is required"},
		"no YAML":                    {map[string]string{"values.yaml": "a: 1\nb: [\n"}, secret, "values.yaml:"},
		"values of a kind":           {map[string]string{"values.yaml": "- " + canary + "\n"}, secret, "values.yaml: this is not YAML"},
		"a chart that is away":       {map[string]string{"charts/cache/Chart.yaml": "", "charts/cache/templates/cache.yaml": ""}, secret, "helm dependency build"},
		"values that are none":       {nil, broken, "broken.yaml:2: this is no map"},
		"values that are a list":     {nil, list, "list.yaml: this is no map"},
		"values that are away":       {nil, "/no/such.yaml", "no such file"},
		"no template":                {template("a: b\nc: {{ if }}\n"), secret, "shop/templates/db.yaml:2: this is no template"},
		"no function":                {template("a: {{ env \"HOME\" }}\n"), secret, "shop/templates/db.yaml:1: there is no function env"},
		"its own words":              {template("a: b\n{{ fail \"say a password\" }}\n"), secret, "shop/templates/db.yaml:2:3: say a password"},
		"required":                   {template("{{ required \"say a host\" .Values.host }}\n"), secret, "shop/templates/db.yaml:1:3: say a host"},
		"words with a value":         {template("{{ fail (print \"not \" .Values.password) }}\n"), secret, "shop/templates/db.yaml:1:3: the template refuses"},
		"words that are a value":     {template("# " + canary + "\n{{ fail .Values.password }}\n"), secret, "shop/templates/db.yaml:2:3: the template refuses"},
		"a value for a type":         {template("{{ mustToDate \"2006\" (print \"wrong type for value; expected \" .Values.password \"; got x\") }}\n"), secret, "shop/templates/db.yaml:1:3: a value has the wrong type"},
		"a value for a line":         {template("{{ semver (print \"shop/templates/db.yaml:\" 4711 \":1\") }}\n"), secret, "shop/templates/db.yaml:1:3: semver fails"},
		"a value that is away":       {template("{{ .Values.a.b.c }}\n"), secret, "shop/templates/db.yaml:1:"},
		"a function that fails":      {template("\n{{ semver .Values.password }}\n"), secret, "shop/templates/db.yaml:2:3: semver fails"},
		"a value of a kind":          {template("{{ range .Values.password }}{{ end }}\n"), secret, "shop/templates/db.yaml:1:16: what it ranges over is no list"},
		"in a helper":                {map[string]string{"templates/_helpers.tpl": "\n{{ define \"shop.name\" }}{{ atoi .Values.replicas | add (semver .Values.password) }}{{ end }}"}, secret, "shop/templates/db.yaml:2:20, in shop/templates/_helpers.tpl:2:"},
		"a value that is a template": {template("{{ tpl .Values.code . }}\n"), code, "a function that it calls is not there"},
		"a value with a field":       {template("{{ tpl .Values.field . }}\n"), code, "a field is not there"},
		"a circle":                   {map[string]string{"templates/_helpers.tpl": `{{ define "shop.name" }}{{ include "shop.name" . }}{{ end }}`}, secret, "include each other too deep"},
		"a circle without includes":  {template(`{{ define "deep" }}{{ template "deep" (dict "x" .) }}{{ end }}{{ template "deep" . }}`), secret, "include each other too deep"},
		"an include of nothing":      {template(`{{ include "none" . }}`), secret, "the template that it includes is not there"},
	} {
		_, err := chart.Render(t.Context(), chart.Request{Chart: folder(t, c.changes), Values: []string{c.values}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), word)) {
			t.Errorf("%s tells a value: %v", name, err)
		}
	}
	if _, err := chart.Render(t.Context(), chart.Request{Chart: filepath.Join(t.TempDir(), "none")}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a chart that is not there: %v", err)
	}
	for name, file := range map[string]string{"no archive": write(t, filepath.Join(t.TempDir(), "a.tgz"), canary), "an archive of nothing": pack(t, nil)} {
		if _, err := chart.Render(t.Context(), chart.Request{Chart: file}); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chart gets at nothing beside itself.
func TestConfined(t *testing.T) {
	outside := write(t, filepath.Join(t.TempDir(), "outside"), canary)
	t.Setenv("CANARY", canary)
	dir := folder(t, map[string]string{"templates/db.yaml": `a: {{ .Files.Get "` + outside + `" | quote }}, {{ .Files.Get "../../outside" | quote }}, {{ getHostByName "localhost" | quote }}`})
	if got := render(t, chart.Request{Chart: dir})["shop/templates/db.yaml"]; got != `a: "", "", ""` {
		t.Errorf("%q", got)
	}
	link := filepath.Join(t.TempDir(), "chart")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if got := render(t, chart.Request{Chart: link}); len(got) != 2 {
		t.Errorf("a chart that is named by a link: %q", got)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := chart.Render(t.Context(), chart.Request{Chart: dir}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "linked is a link") {
		t.Errorf("a link: %v", err)
	}
	climbing := pack(t, map[string]string{"shop/Chart.yaml": shop["Chart.yaml"], "shop/../../out.yaml": "x"})
	if _, err := chart.Render(t.Context(), chart.Request{Chart: climbing}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a path out of the archive: %v", err)
	}
}

// What a hostile chart takes is bounded: it is ended, and the rest goes on.
func TestBounded(t *testing.T) {
	for name, text := range map[string]string{
		"memory at once":     `{{ repeat 20000000000 "x" }}`,
		"memory by doubling": `{{ $x := "xxxxxxxx" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ len $x }}`,
		"a long list":        `{{ range until 2000000000 }}{{ end }}`,
		"much text":          `{{ repeat 70000000 "x" }}`,
	} {
		_, err := chart.Render(t.Context(), chart.Request{Chart: folder(t, map[string]string{"templates/db.yaml": text})})
		if !errs.Is(err, errs.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	loop := `{{ $l := until 3000 }}{{ range $l }}{{ range $l }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}{{ end }}{{ end }}`
	dir := folder(t, map[string]string{"templates/db.yaml": loop})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := chart.Render(ctx, chart.Request{Chart: dir}); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a loop: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := chart.Render(ctx, chart.Request{Chart: dir}); err == nil || errs.Is(err, errs.TooLarge) {
		t.Errorf("who interrupts it: %v", err)
	}
}

// A program that does not know the command does not render charts in ever more processes.
func TestNotTwice(t *testing.T) {
	t.Setenv("STRONGKEEP_RENDERING_A_CHART", "1")
	if _, err := chart.Render(t.Context(), chart.Request{Chart: folder(t, nil)}); !errs.Is(err, errs.Internal) {
		t.Errorf("%v", err)
	}
}
