package access

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"cloud.google.com/go/auth/credentials"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// metadataTimeout bounds a question to the node's metadata server.
const metadataTimeout = 5 * time.Second

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxBody)) }

// Own returns a Source of the operator's own identity: the file that its environment
// names, or what the node's metadata server gives its pod. A home directory is not
// looked at.
func Own(c *Client, getenv func(string) string, clk clock.PassiveClock) login.Source {
	const env = "GOOGLE_APPLICATION_CREDENTIALS"
	if file := getenv(env); file != "" {
		return func(ctx context.Context) (login.Token, error) { return c.ownFile(ctx, env, file) }
	}
	return func(ctx context.Context) (login.Token, error) {
		raw, err := c.askMetadata(ctx, "instance/service-accounts/default/token", nil)
		var answer struct {
			Token   string `json:"access_token"`
			Seconds int    `json:"expires_in"`
		}
		if err != nil || json.Unmarshal(raw, &answer) != nil || answer.Token == "" {
			return login.Token{}, errs.New(errs.Unavailable,
				"the operator has no identity of its own at Google that answers: set auth, or give the operator one (docs/stores/google-secret-manager.md)")
		}
		return login.Token{Value: redact.FromString(answer.Token), Expires: clk.Now().Add(time.Duration(answer.Seconds) * time.Second)}, nil
	}
}

// ownFile signs in with a file of the operator's own, of whatever type.
func (c *Client) ownFile(ctx context.Context, env, file string) (login.Token, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return login.Token{}, errs.Newf(errs.Unavailable, "reading the operator's own credentials (%s): %w", env, err)
	}
	var is struct {
		Type credentials.CredType `json:"type"`
	}
	if json.Unmarshal(raw, &is) != nil {
		return login.Token{}, errs.Newf(errs.Unauthenticated, "the operator's own credentials (%s) are no JSON", env)
	}
	a := c.attempt()
	creds, err := credentials.NewCredentialsFromJSON(is.Type, raw, &credentials.DetectOptions{Scopes: []string{scope}, Client: a.http, Logger: quiet()})
	return a.token(ctx, creds, err, "signing in with the operator's own credentials ("+env+")", "correct the file")
}
