package look_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/chart"
)

const (
	canary = "canary-55d0-xYz"
	secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: " + canary + "}\n"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// This binary renders charts too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == chart.Command {
		if err := chart.Main(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// ask reads by the flags that args set.
func ask(t *testing.T, args ...string) (*look.Seen, string, error) {
	t.Helper()
	var f look.Flags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.AddWhole(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	env := session.System()
	env.Stdin, env.Stderr, env.Getenv = strings.NewReader(secret), &errOut, func(string) string { return "" }
	seen, err := f.Read(t.Context(), &session.Session{Env: env}, noon)
	if strings.Contains(errOut.String(), canary) || err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("%v tells a value: %s %v", args, errOut.String(), err)
	}
	return seen, errOut.String(), err
}

func TestSaveAndLookAgain(t *testing.T) {
	dir := t.TempDir()
	key := write(t, dir, "key", strings.Repeat("0a", 32)+"\n")
	saved := filepath.Join(dir, "saved")
	seen, stderr, err := ask(t, "--file=-", "--key-file="+key, "--save="+saved, "-n", "shop")
	if err != nil || stderr != "" || seen.Namespace != "shop" || seen.Key == nil || len(seen.Secrets) != 1 || seen.Secrets[0].Namespace != "shop" {
		t.Fatalf("%v %q %+v", err, stderr, seen)
	}
	again, _, err := ask(t, "--snapshot="+saved, "--key-file="+key)
	if err != nil || again.Key == nil || again.Secrets[0].Values[0].Prints[0].Print != again.Key.Of([]byte(canary)) {
		t.Fatalf("%v %+v", err, again)
	}
	if keyless, _, err := ask(t, "--snapshot="+saved); err != nil || keyless.Key != nil {
		t.Errorf("without its key: %v %v", keyless.Key, err)
	}
	if _, stderr, err := ask(t, "--file=-", "--save="+saved); err != nil || !strings.Contains(stderr, "-key-file") {
		t.Errorf("a key of one run: %q %v", stderr, err)
	}
	if raw, err := os.ReadFile(saved); err != nil || bytes.Contains(raw, []byte(canary)) {
		t.Errorf("the file: %v", err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	key, other, short := write(t, dir, "key", strings.Repeat("4b", 32)), write(t, dir, "other", strings.Repeat("4c", 32)), write(t, dir, "short", canary)
	saved := filepath.Join(dir, "saved")
	if _, _, err := ask(t, "--file=-", "--key-file="+key, "--save="+saved); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "chart/Chart.yaml", "name: x")
	write(t, dir, "base/kustomization.yaml", "")
	archive := write(t, dir, "chart.tgz", canary)
	for _, c := range []struct {
		args []string
		kind errs.Kind
		want string
	}{
		{[]string{"--snapshot=" + saved, "--file=-"}, errs.Invalid, "neither -f nor -save"},
		{[]string{"--snapshot=" + saved, "--key-file=" + other}, errs.Invalid, "another key"},
		{[]string{"--file=-", "--key-file=" + short}, errs.Invalid, "openssl rand -hex 32"},
		{[]string{"--file=-", "--key-file=" + write(t, dir, "phrase", "correct horse battery staple! OK")}, errs.Invalid, "is no key"},
		{[]string{"--file=-", "--key-file=" + write(t, dir, "cut", strings.Repeat("a", 31)+"\n")}, errs.Invalid, "is no key"},
		{[]string{"--file=-", "--key-file=" + dir + "/none"}, errs.Invalid, "no such file"},
		{[]string{"--file=" + dir + "/none"}, errs.Invalid, "no such file"},
		{[]string{"--file=" + dir + "/chart"}, errs.Invalid, "Chart.yaml: chart.metadata.version is required"},
		{[]string{"--file=" + archive}, errs.Invalid, "this is no chart"},
		{[]string{"--values=" + key}, errs.Invalid, "name it with -f"},
		{[]string{"--release=blue", "--snapshot=" + saved}, errs.Invalid, "name it with -f"},
		{[]string{"--file=" + dir + "/base"}, errs.Unsupported, "kubectl kustomize"},
	} {
		if _, _, err := ask(t, c.args...); errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/db.yaml", secret)
	write(t, dir, "b.json", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"b"}}`)
	write(t, dir, "README.md", canary+": [")
	write(t, dir, ".git/x.yaml", secret)
	write(t, dir, "chart/Chart.yaml", "apiVersion: v2\nname: x\nversion: 1.0.0\n")
	write(t, dir, "chart/templates/x.yaml", "{{ if }}")
	write(t, dir, "good/Chart.yaml", "apiVersion: v2\nname: good\nversion: 1.0.0\n")
	write(t, dir, "good/templates/c.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: c-{{ .Release.Name }}}\n")
	write(t, dir, "base/kustomization.yaml", "")
	seen, stderr, err := ask(t, "--file="+dir)
	if err != nil || len(seen.Secrets) != 3 || seen.Secrets[0].Name != "b" || seen.Secrets[1].Name != "c-good" || seen.Secrets[2].Place != dir+"/a/db.yaml: document 1" {
		t.Fatalf("%v %+v", err, seen)
	}
	if len(seen.Wrong) != 2 || !strings.Contains(stderr, dir+"/chart: x/templates/x.yaml:1: this is no template") || !strings.Contains(stderr, "kubectl kustomize "+dir+"/base") {
		t.Errorf("what is wrong: %q %q", seen.Wrong, stderr)
	}
}

// A chart is rendered with what is said of its release, and its objects are told by
// their templates.
func TestChart(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "shop/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
	write(t, dir, "shop/templates/db.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}-db}\nstringData: {password: {{ .Values.password }}}\n---\nkind: [\n")
	values := write(t, dir, "values.yaml", "password: "+canary+"\n")
	key := write(t, dir, "key", strings.Repeat("6b", 32))
	seen, stderr, err := ask(t, "--file="+dir+"/shop", "--values="+values, "--release=blue", "-n", "east", "--key-file="+key)
	if err != nil || len(seen.Secrets) != 1 {
		t.Fatalf("%v %q %+v", err, stderr, seen)
	}
	if s := seen.Secrets[0]; s.Name != "blue-db" || s.Namespace != "east" || s.Place != dir+"/shop/templates/db.yaml: document 1" || s.Values[0].Prints[0].Print != seen.Key.Of([]byte(canary)) {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(stderr, dir+"/shop/templates/db.yaml: document 2: this is not YAML") {
		t.Errorf("what is wrong: %q", stderr)
	}
}

// What a folder has and was not looked at is said, and no resource of files counts as
// read whole then: a chart, links that lead out of it or nowhere. Files of a mounted
// ConfigMap are links within it, and are read, each once.
func TestFolderNotWhole(t *testing.T) {
	mounted := t.TempDir()
	write(t, mounted, "..2026_11/db.yaml", secret)
	link(t, "..2026_11", mounted, "..data")
	link(t, "..data/db.yaml", mounted, "db.yaml")
	link(t, "db.yaml", mounted, "again.yaml")
	if seen, stderr, err := ask(t, "--file="+mounted); err != nil || stderr != "" || len(seen.Secrets) != 1 || !seen.Coverage.Whole("secrets") {
		t.Errorf("a mounted ConfigMap: %v %q %+v", err, stderr, seen)
	}
	outside := write(t, t.TempDir(), "x.yaml", secret)
	for want, make := range map[string]func(dir string){
		"chart.metadata.version is required": func(dir string) { write(t, dir, "chart/Chart.yaml", "name: x") },
		"symbolic link":                      func(dir string) { link(t, outside, dir, "x.yaml") },
		"leads nowhere":                      func(dir string) { link(t, "none.yaml", dir, "x.yaml") },
		"is no file of ":                     func(dir string) { link(t, filepath.Dir(outside), dir, "base") },
		"damaged":                            func(dir string) { write(t, dir, "x.yaml.gz", "\x1f\x8b") },
	} {
		dir := t.TempDir()
		write(t, dir, "db.yaml", secret)
		make(dir)
		seen, stderr, err := ask(t, "--file="+dir)
		if err != nil || !strings.Contains(stderr, want) || len(seen.Secrets) != 1 || seen.Coverage.Whole("secrets") || seen.Coverage.Whole("secrets/values") || seen.Coverage.Whole("rolebindings") {
			t.Errorf("%s: %v %q", want, err, stderr)
		}
	}
}

func link(t *testing.T, to, dir, name string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// A key that others may read is used, and told of; one of bytes is taken as it is.
func TestKeyOfOthers(t *testing.T) {
	dir := t.TempDir()
	key := write(t, dir, "key", string(bytes.Repeat([]byte{0xa5, 0x01}, 16)))
	if _, stderr, err := ask(t, "--file=-", "--key-file="+key); err != nil || strings.Contains(stderr, "chmod") {
		t.Errorf("%v %s", err, stderr)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := ask(t, "--file=-", "--key-file="+key); err != nil || !strings.Contains(stderr, "chmod 600 "+key) {
		t.Errorf("%v %s", err, stderr)
	}
}

// The wrong folder, or a pipe from a command that failed, is no clean cluster. A list of nothing is: who
// made it has looked.
func TestNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "notes.txt", "no manifest")
	write(t, dir, "values.yaml", "image: shop")
	if _, _, err := ask(t, "-f="+dir); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "nothing was looked at") {
		t.Errorf("a folder without manifests: %v", err)
	}
	if _, _, err := ask(t, "-f="+write(t, dir, "list.yaml", "apiVersion: v1\nkind: List\nitems: []\n")); err != nil {
		t.Error("a list of nothing:", err)
	}
}
