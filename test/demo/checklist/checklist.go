package checklist

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/server"
)

// Config says where the act plays.
type Config struct {
	Control  Control
	Examples string // folder of the manifests
	Dir      string // for files of its own
	Server   *server.Server
	// Kubeconfig has all permissions.
	Kubeconfig string
	// Kubectl runs it with all permissions and returns what it prints.
	Kubectl func(ctx context.Context, stdin io.Reader, args ...string) (string, error)
	// Canary hears of every secret there is, and what it is.
	Canary func(what, secret string)
}

// Act is the checklist. It is for one goroutine.
type Act struct {
	Config
	before *Answers
}

// New returns an act that has not begun.
func New(c Config) *Act { return &Act{Config: c} }

// Untidy makes what there is to be found: objects, a password made by hand and its
// copy, and a repository as teams have one.
func (a *Act) Untidy(ctx context.Context) (report.Outcome, error) {
	return report.Outcome{Text: "a password made by hand in two namespaces, a shared ServiceAccount that reads every Secret, a token nobody needs"}, a.untidy(ctx)
}

func (a *Act) untidy(ctx context.Context) error {
	if _, err := a.Kubectl(ctx, nil, "apply", "--server-side", "-f", a.example("untidy.yaml")); err != nil {
		return err
	}
	password := rand.Text()
	a.Canary("a password made by hand", password)
	for _, ns := range []string{"orders", "billing"} {
		secret := map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"namespace": ns, "name": "db"}, "stringData": map[string]string{"password": password},
		}
		text, err := json.Marshal(secret)
		if err != nil {
			return fmt.Errorf("encoding a Secret: %w", err)
		}
		if _, err := a.Kubectl(ctx, bytes.NewReader(text), "create", "-f", "-"); err != nil {
			return err
		}
	}
	// What the application does by the API, so that the audit log has it.
	if _, err := a.Kubectl(ctx, nil, "get", "secret", "db", "--namespace=orders", "--as=system:serviceaccount:orders:app", "--output=name"); err != nil {
		return err
	}
	return a.repository(ctx)
}

func (a *Act) example(name string) string { return filepath.Join(a.Examples, name) }

// repo is a Git repository of this run.
func (a *Act) repo() string { return filepath.Join(a.Dir, "repository") }

// repository makes one with a pipeline and the manifests.
func (a *Act) repository(ctx context.Context) error {
	for name, from := range map[string]string{".github/workflows/deploy.yaml": "deploy-workflow.yaml", "untidy.yaml": "untidy.yaml"} {
		text, err := os.ReadFile(a.example(from))
		if err != nil {
			return fmt.Errorf("reading an example: %w", err)
		}
		if err := a.write(name, text); err != nil {
			return err
		}
	}
	if _, err := a.git(ctx, "init", "--quiet"); err != nil {
		return err
	}
	return a.commit(ctx, "begin")
}

// write puts a file into the repository.
func (a *Act) write(name string, text []byte) error {
	path := filepath.Join(a.repo(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (a *Act) commit(ctx context.Context, message string) error {
	if _, err := a.git(ctx, "add", "--all"); err != nil {
		return err
	}
	_, err := a.git(ctx, "-c", "user.name=demo", "-c", "user.email=demo@strongkeep.example", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", message)
	return err
}

// git runs without the user's settings.
func (a *Act) git(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", a.repo()}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GIT_") }), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("git is not here: apt-get install git, or what your system has for it")
	}
	if err != nil {
		return nil, fmt.Errorf("running git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return out, nil
}
