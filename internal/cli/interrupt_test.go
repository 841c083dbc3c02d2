package cli_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// hanging answers nothing; asked is called for every request.
func hanging(t *testing.T, asked func()) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestCtrlCEndsACommandAsShellsExpect(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := hanging(t, cancel)
	code, stderr := command(ctx, t, url, nil)
	if code != 130 || !strings.Contains(stderr, "Error: interrupted") || strings.Contains(stderr, "context") {
		t.Fatalf("exit code %d, %q; want 130 and to hear that it was interrupted", code, stderr)
	}
}

func TestAServerThatDoesNotAnswerIsNamed(t *testing.T) {
	url := hanging(t, func() {})
	code, stderr := command(t.Context(), t, url, map[string]string{"VAULT_CLIENT_TIMEOUT": "50ms", "VAULT_MAX_RETRIES": "0"})
	if code != errs.Unavailable.ExitCode() || !strings.Contains(stderr, "no answer from "+url+" in time") || !strings.Contains(stderr, "VAULT_CLIENT_TIMEOUT") {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
}

func command(ctx context.Context, t *testing.T, url string, env map[string]string) (int, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Main([]string{"kv", "get", "secret/x"}, session.Env{
		Context: ctx, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string {
			if name == "VAULT_ADDR" {
				return url
			}
			return env[name]
		},
	})
	if stdout.Len() > 0 {
		t.Errorf("standard output: %q", stdout.String())
	}
	return code, stderr.String()
}
