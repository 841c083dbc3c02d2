package repo_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
)

// Values that must never be told. The pieces are put together so that no scanner of
// this repository finds them.
const (
	password = "correct-horse-canary"
	other    = "kR7#canary!tt"
	token    = "ghp_" + "Qx9canaryZ7vR2mT5kW8pL4nB6jH1gF3dS0a"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// tree is a repository that is made by Git itself.
type tree struct {
	testing.TB
	dir string
}

func newTree(t testing.TB) *tree {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: looking at repositories is not tested: it takes git")
	}
	r := &tree{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *tree) git(args ...string) string {
	r.Helper()
	c := exec.CommandContext(r.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0", "-c", "commit.gpgsign=false", "-C", r.dir}, args...)...)
	c.Env = append(os.Environ(), "HOME="+r.dir, "GIT_CONFIG_NOSYSTEM=1")
	out, err := c.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *tree) write(file, text string) {
	r.Helper()
	name := filepath.Join(r.dir, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

// commit writes a file and commits it; no text removes it.
func (r *tree) commit(file, text string) string {
	r.Helper()
	if text == "" {
		r.git("rm", "-q", file)
	} else {
		r.write(file, text)
		r.git("add", "-f", file)
	}
	r.git("commit", "-q", "-m", "a commit")
	return r.git("rev-parse", "HEAD")
}

func key(t testing.TB) *fingerprint.Key {
	t.Helper()
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{7}, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// look looks, and holds the result to telling no value.
func look(t testing.TB, dir string, c repo.Config) *repo.Result {
	t.Helper()
	got, err := repo.Look(context.Background(), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"canary", b64(password)[:10], "MIIEvQIBADAN"} {
		if strings.Contains(string(raw), v) {
			t.Errorf("a value is told: %s", raw)
		}
	}
	return got
}

// say is the leaks in lines: commit, file, line, what it looks like.
func say(got *repo.Result) []string {
	var out []string
	for _, l := range got.Repo.Leaks {
		where := "gone"
		switch {
		case l.Present:
			where = "present"
		case l.Unreachable:
			where = "unreachable"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s:%d %s %s", where, l.File, l.Line, l.Value.Field, l.Value.Looks)))
	}
	return out
}

func manifest(name, value string) string {
	return "# of the shop\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\ndata:\n  password: " + b64(value) + "\n  username: " + b64("shop-user") + "\n"
}

// What is there, what was removed, what no branch reaches any more, and what was never
// committed is found, loose or packed.
func TestHistory(t *testing.T) {
	r := newTree(t)
	first := r.commit("k8s/db.yaml", manifest("db", password))
	r.commit("k8s/db.yaml", "# now in the vault\n")
	r.commit("now.yaml", "a: 1\n---\n"+manifest("mq", other))
	r.git("checkout", "-q", "-b", "gone")
	lost := r.commit("ci.txt", "first line\ntoken "+token+"\n")
	r.git("checkout", "-q", "main")
	r.git("branch", "-q", "-D", "gone")
	r.write("never.yaml", manifest("never", "hunter2-canary-never"))
	r.git("add", "never.yaml")
	id := r.git("hash-object", "never.yaml")
	r.git("rm", "-q", "--cached", "never.yaml")
	want := []string{
		"unreachable ci.txt:2  Token",
		"gone k8s/db.yaml:6 data.password NamedSecret",
		"present now.yaml:8 data.password NamedSecret",
		"unreachable object " + id[:12] + ":6 data.password NamedSecret",
	}
	for _, packed := range []bool{false, true} {
		if packed {
			r.git("repack", "-q", "-a", "-d", "--keep-unreachable")
		}
		got := look(t, r.dir, repo.Config{})
		if !slices.Equal(say(got), want) {
			t.Errorf("packed %v:\n%s\nnot\n%s", packed, strings.Join(say(got), "\n"), strings.Join(want, "\n"))
		}
		if l := got.Repo.Leaks; l[0].Commit != lost || l[1].Commit != first || l[3].Commit != "" {
			t.Errorf("commits %+v", l)
		}
		if got.Repo.Blobs != 5 || got.Repo.Unreachable != 2 || !got.Repo.Git || len(got.Missing) != 0 {
			t.Errorf("%d files, %d unreachable; missing %v", got.Repo.Blobs, got.Repo.Unreachable, got.Missing)
		}
		if len(got.Repo.Leaks[1].Value.Prints) != 0 {
			t.Error("prints by no key")
		}
	}
}

// A value of the cluster is found wherever it stands.
func TestLiveValues(t *testing.T) {
	k := key(t)
	live := map[fingerprint.Print]bool{k.Of([]byte(password)): true, k.Of([]byte("two words canary")): true}
	for name, line := range map[string]string{
		"Go":             `	db := open("` + password + `")`,
		"an environment": "export DB_PASSWORD=" + password,
		"a property":     "db.password: " + password,
		"a URL":          "postgres://shop:" + password + "@localhost/shop",
		"base64":         "value: " + b64(password),
		"single quotes":  "x = '" + password + "';",
		"with spaces":    `pass = "two words canary"`,
		"YAML, spaces":   "pass: two words canary",
	} {
		r := newTree(t)
		r.commit("file.txt", "one\n"+line+"\n")
		got := look(t, r.dir, repo.Config{Key: k, Live: live})
		if len(got.Repo.Leaks) != 1 || got.Repo.Leaks[0].Line != 2 || !slices.ContainsFunc(got.Repo.Leaks[0].Value.Prints, func(p fingerprint.Part) bool { return live[p.Print] }) {
			t.Errorf("%s: %+v", name, got.Repo.Leaks)
		}
		if got := look(t, r.dir, repo.Config{Live: live}); name == "Go" && len(got.Repo.Leaks) != 0 {
			t.Errorf("%s: compared without the key", name)
		}
	}
}

// What others take for secrets, and is none.
func TestNoSecrets(t *testing.T) {
	r := newTree(t)
	for file, text := range map[string]string{
		"sops.yaml":      "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  password: ENC[AES256_GCM,data:p673w==,iv:YY=,type:str]\nsops: {mac: x}\n",
		"sealed.yaml":    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec:\n  encryptedData:\n    password: " + b64(strings.Repeat("sealed", 30)) + "\n",
		"template.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  password: {{ .Values.password | quote }}\n  x: \"{{ .Values.y }}\"\n",
		"reference.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  password: ${DB_PASSWORD}\n  other: <put it here>\n  third: changeme\n  username: shop-user\n  host: db.shop.svc.cluster.local\n  empty: \"\"\n",
		"external.yaml":  "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec: {data: [{secretKey: password, remoteRef: {key: db}}]}\n",
		"package.lock":   `{"integrity": "sha512-` + b64(strings.Repeat("x1", 32)) + `", "id": "0f8fad5b-d9cb-469f-a165-70867728950e"}` + "\n",
		"go.sum":         "k8s.io/api v0.37.2 h1:9Jq73PeHAA0RThpW7ou6lBcO2+SxLcPrAgleONSMUNQ=\n",
		"doc.md":         "Use AKIAIOSFODNN7EXAMPLE, ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, postgres://user:password@host/db and https://user:s3cr3tpw@db.example.com\n",
		"public.pem":     "-----BEGIN PUBLIC KEY-----\n" + strings.Repeat("MIIB", 40) + "\n-----END PUBLIC KEY-----\n",
		"locked.pem":     "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + strings.Repeat("MIIB", 40) + "\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"binary":         "\x00\x01" + token,
		"broken.yaml":    "kind: Secret\na: [\n",
	} {
		r.commit(file, text)
	}
	if got := look(t, r.dir, repo.Config{Key: key(t)}); len(got.Repo.Leaks) != 0 {
		t.Errorf("taken for secrets:\n%s", strings.Join(say(got), "\n"))
	}
}

func TestLooks(t *testing.T) {
	r := newTree(t)
	pem := "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN" + strings.Repeat("Bgkqhki9", 30) + "\n-----END PRIVATE KEY-----\n"
	r.commit("id.pem", pem)
	r.commit("values.json", `{"key": "`+strings.ReplaceAll(pem, "\n", `\n`)+`"}`+"\n")
	r.commit("compose.yaml", "x: amqp://shop:"+password+"@mq.internal:5672\n")
	r.commit("list.json", `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "data": {"key": "`+b64(other)+`"}}]}`)
	r.commit("two.yaml", "a: {{ broken\n---\n"+manifest("db", other))
	want := []string{"present compose.yaml:1  PasswordURL", "present id.pem:1  PrivateKey", "present list.json:1 data.key NamedSecret", "present two.yaml:8 data.password NamedSecret", "present values.json:1  PrivateKey"}
	got := look(t, r.dir, repo.Config{Key: key(t)})
	if !slices.Equal(say(got), want) {
		t.Errorf("\n%s\nnot\n%s", strings.Join(say(got), "\n"), strings.Join(want, "\n"))
	}
	// The same in a folder without Git, but for what is only in its database.
	if err := os.RemoveAll(filepath.Join(r.dir, ".git")); err != nil {
		t.Fatal(err)
	}
	if got := look(t, r.dir, repo.Config{Key: key(t)}); !slices.Equal(say(got), want) || got.Repo.Git {
		t.Errorf("without Git:\n%s", strings.Join(say(got), "\n"))
	}
}

// One value in many versions of a file is one leak.
func TestVersions(t *testing.T) {
	r := newTree(t)
	first := r.commit("db.yaml", manifest("db", password))
	for i := range 5 {
		r.commit("db.yaml", strings.Repeat("# more\n", i+1)+manifest("db", password))
	}
	got := look(t, r.dir, repo.Config{})
	if len(got.Repo.Leaks) != 1 || got.Repo.Leaks[0].Line != 11 || !got.Repo.Leaks[0].Present || got.Repo.Leaks[0].Commit == first {
		t.Errorf("%+v", got.Repo.Leaks)
	}
}

func TestPipelines(t *testing.T) {
	r := newTree(t)
	r.commit(".github/workflows/ci.yml", "jobs:\n  a:\n    steps:\n    - run: echo ${{ secrets.X }}\n")
	r.commit("gone.gitlab-ci.yml", "a: {script: ['echo $API_TOKEN']}\n")
	r.commit("gone.gitlab-ci.yml", "")
	got := look(t, r.dir, repo.Config{}).Repo.Pipelines
	if len(got) != 1 || got[0].File != ".github/workflows/ci.yml" || len(got[0].Steps) != 1 || got[0].Steps[0].Line != 4 {
		t.Errorf("%+v", got)
	}
}

// A large file beside a pipeline is passed by, and that Git was told of another repository,
// as it is within a hook, changes nothing.
func TestPipelinesBesideOthers(t *testing.T) {
	r := newTree(t)
	r.commit(".github/workflows/a.yml", "# "+strings.Repeat("x", 9<<20)+"\n")
	r.commit(".github/workflows/ci.yml", "jobs:\n  a:\n    steps:\n    - run: echo ${{ secrets.X }}\n")
	other := newTree(t)
	other.commit("a.txt", "a\n")
	t.Setenv("GIT_DIR", filepath.Join(other.dir, ".git"))
	t.Setenv("GIT_WORK_TREE", other.dir)
	got := look(t, r.dir, repo.Config{}).Repo.Pipelines
	if len(got) != 1 || got[0].File != ".github/workflows/ci.yml" || len(got[0].Steps) != 1 {
		t.Errorf("%+v", got)
	}
}

// What is not there is said, and nothing of the repository's own is run.
func TestHostileAndShallow(t *testing.T) {
	r := newTree(t)
	r.commit("a.txt", "a\n")
	r.commit("b.yaml", manifest("db", password))
	mark := filepath.Join(r.dir, "ran")
	for _, name := range []string{"core.fsmonitor", "core.pager", "diff.external", "core.sshCommand"} {
		r.git("config", name, "touch "+mark)
	}
	if got := look(t, r.dir, repo.Config{}); len(got.Repo.Leaks) != 1 {
		t.Errorf("%+v", got.Repo.Leaks)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command of the repository's configuration was run")
	}
	shallow := &tree{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth=1", "file://"+r.dir, ".")
	if got := look(t, shallow.dir, repo.Config{}); len(got.Missing) != 1 || !strings.Contains(got.Missing[0], "shallow") {
		t.Errorf("missing %v", got.Missing)
	}
	empty := newTree(t)
	if got := look(t, empty.dir, repo.Config{}); got.Repo.Blobs != 0 || !got.Repo.Git {
		t.Errorf("%+v", got.Repo)
	}
	if _, err := repo.Look(t.Context(), filepath.Join(r.dir, "none"), repo.Config{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no directory: %v", err)
	}
}

// What Git does not have is not taken for looked at, nor is what no text is made of.
func TestElsewhere(t *testing.T) {
	r := newTree(t)
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("4d7a", 16) + "\nsize 12345\n"
	r.commit("README", "about version https://git-lfs.github.com/spec/v1")
	if got := look(t, r.dir, repo.Config{}); len(got.Missing) > 0 || got.Repo.Closed > 0 {
		t.Errorf("missing %q, %d closed", got.Missing, got.Repo.Closed)
	}
	r.commit("data/dump.sql", pointer)
	r.commit("logo.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	r.commit("old.tgz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
	r.commit("old.tgz", "")
	head := r.commit("tls.p12", "\x30\x06\x02\x01\x03\x30\x01\x00")
	r.git("update-index", "--add", "--cacheinfo", "160000,"+head+",lib/theirs")
	r.git("commit", "-q", "-m", "a submodule")
	got := look(t, r.dir, repo.Config{})
	all := strings.Join(got.Missing, "\n")
	for _, want := range []string{"1 file versions of " + r.dir + " are pointers of Git LFS", "has 1 submodules (lib/theirs)"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %q", want, all)
		}
	}
	if len(got.Missing) != 2 || got.Repo.Blobs != 5 || got.Repo.Binary != 3 || got.Repo.Closed != 2 {
		t.Errorf("missing %q; %d files, %d no text, %d closed", got.Missing, got.Repo.Blobs, got.Repo.Binary, got.Repo.Closed)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "dump.sql"), []byte(pointer), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := look(t, folder, repo.Config{}); len(got.Missing) != 1 || !strings.Contains(got.Missing[0], "pointers of Git LFS") {
		t.Errorf("in a folder: missing %q", got.Missing)
	}
}

func TestLargeFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), bytes.Repeat([]byte("x"), 9<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := look(t, dir, repo.Config{}); len(got.Missing) != 1 || !strings.Contains(got.Missing[0], "1 files") {
		t.Errorf("missing %v", got.Missing)
	}
}

// A value that looks like nothing is found if it stands nowhere by chance, whatever its
// file is written in, and on whichever line.
func TestQuietValues(t *testing.T) {
	const odd, plain = "xk29fq8zt1lm", "production-eu"
	k := key(t)
	live := map[fingerprint.Print]bool{k.Of([]byte(odd)): false, k.Of([]byte(plain)): false, k.Of([]byte("gr\u00fcn-canary")): true}
	utf16 := func(low int, mark, text string) string {
		out := []byte(mark)
		for i := range len(text) {
			pair := []byte{0, 0}
			pair[low] = text[i]
			out = append(out, pair...)
		}
		return string(out)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":            {"a: " + odd + "\nb: " + plain + "\n", []string{"present f:1"}},
		"UTF-16":           {utf16(0, "\xff\xfe", "one\r\nb: "+odd+"\r\n"), []string{"present f:2"}},
		"UTF-16, other":    {utf16(1, "\xfe\xff", "b: "+odd), []string{"present f:1"}},
		"UTF-16, no mark":  {utf16(0, "", "token\n"+token+"\n"), []string{"present f:2  Token"}},
		"Latin-1":          {"f\xfcr alle\npass = 'gr\xfcn-canary'\n", []string{"present f:2"}},
		"one long line":    {"{\"x\":\"" + strings.Repeat("word ", 40000) + "\",\"y\":\"" + odd + "\"}", []string{"present f:1"}},
		"of another class": {"a: xk29-fq8z\n", nil},
	} {
		r := newTree(t)
		r.commit("f", c.text)
		if got := look(t, r.dir, repo.Config{Key: k, Live: live}); !slices.Equal(say(got), c.want) || got.Repo.Binary != 0 {
			t.Errorf("%s: %q, not %q; %d binary", name, say(got), c.want, got.Repo.Binary)
		}
	}
	r := newTree(t)
	r.commit("a.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"+odd)
	r.commit("b.txt", odd+"\n")
	if got := look(t, r.dir, repo.Config{Key: k, Live: live}); got.Repo.Binary != 1 || got.Repo.Blobs != 2 || len(got.Repo.Leaks) != 1 {
		t.Errorf("%d binary of %d: %q", got.Repo.Binary, got.Repo.Blobs, say(got))
	}
}
