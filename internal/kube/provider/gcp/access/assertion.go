package access

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"time"

	"cloud.google.com/go/auth/credentials"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Assertion makes a JSON Web Token that says who one is to somebody else than Google,
// who has Google's word for it.
type Assertion func(ctx context.Context) (redact.Secret, error)

// assertionLife is how long an assertion is good. A vault takes none of more than 15
// minutes, if it is not told otherwise.
const assertionLife = 10 * time.Minute

// claims are what a vault reads of an assertion.
// https://developer.hashicorp.com/vault/docs/auth/gcp#generating-jwts
type claims struct {
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"` // seconds of Unix time
	Expires  int64  `json:"exp"`
}

func claim(email, audience string, now time.Time) claims {
	return claims{email, audience, now.Unix(), now.Add(assertionLife).Unix()}
}

// KeyAssertion signs with a service account's key, which is read each time. Google
// is not asked, and needs to allow nothing.
func KeyAssertion(read func(context.Context) (redact.Secret, error), audience string, c clock.PassiveClock) Assertion {
	return func(ctx context.Context) (redact.Secret, error) {
		raw, err := read(ctx)
		if err != nil {
			return redact.Secret{}, err
		}
		return signByKey(raw.Reveal(), audience, c.Now())
	}
}

func signByKey(raw []byte, audience string, now time.Time) (redact.Secret, error) {
	who, err := checkKey(raw)
	if err != nil {
		return redact.Secret{}, err
	}
	var key struct {
		ID      string `json:"private_key_id"`
		Private string `json:"private_key"`
	}
	_ = json.Unmarshal(raw, &key) // checkKey has read it
	bad := errs.Newf(errs.Unauthenticated, "the key of %s has no private_key that is PEM of PKCS #8: make a new key of the service account", who)
	block, _ := pem.Decode([]byte(key.Private))
	if block == nil {
		return redact.Secret{}, bad
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return redact.Secret{}, bad
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: key.ID}}, nil)
	if err != nil {
		return redact.Secret{}, bad
	}
	text, err := jwt.Signed(signer).Claims(claim(who, audience, now)).Serialize()
	if err != nil {
		return redact.Secret{}, bad
	}
	return redact.FromString(text), nil
}

// Assertion has Google sign for the service account that w stands for, as that one
// itself.
func (w Workload) Assertion(c *Client, audience string) Assertion {
	return func(ctx context.Context) (redact.Secret, error) {
		email, err := w.Account.Email(ctx)
		if err != nil {
			return redact.Secret{}, err
		}
		if email == "" {
			return redact.Secret{}, errs.New(errs.Invalid,
				"the ServiceAccount stands for no service account of Google, which alone can sign: annotate it with iam.gke.io/gcp-service-account")
		}
		token, err := w.Source(c)(ctx)
		if err != nil {
			return redact.Secret{}, err
		}
		return c.signJWT(ctx, token, email, claim(email, audience, w.Clock.Now()))
	}
}

func (c *Client) signJWT(ctx context.Context, by login.Token, email string, payload claims) (redact.Secret, error) {
	at, err := impersonation(email, "signJwt")
	if err != nil {
		return redact.Secret{}, err
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "encoding what is to be signed: %w", err)
	}
	a := c.attempt()
	req, err := a.post(ctx, at, map[string]string{"payload": string(text)})
	if err != nil {
		return redact.Secret{}, err
	}
	req.Header.Set("Authorization", "Bearer "+by.Value.RevealString())
	var answer struct {
		Signed string `json:"signedJwt"`
	}
	err = a.call(req, "having Google sign for "+email, "it must have roles/iam.serviceAccountTokenCreator on itself", &answer)
	if err == nil && answer.Signed == "" {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "having Google sign for %s: the answer has no token", email)
	}
	return redact.FromString(answer.Signed), err
}

// OwnAssertion is about the operator's own identity: that of the key in the file that
// its environment names, or that of the machine, in the words of its metadata server.
func OwnAssertion(c *Client, getenv func(string) string, audience string, clk clock.PassiveClock) Assertion {
	const env = "GOOGLE_APPLICATION_CREDENTIALS"
	file := getenv(env)
	if file == "" {
		return func(ctx context.Context) (redact.Secret, error) { return c.machine(ctx, audience) }
	}
	return func(context.Context) (redact.Secret, error) {
		raw, err := os.ReadFile(file)
		if err != nil {
			return redact.Secret{}, errs.Newf(errs.Unavailable, "reading the operator's own credentials (%s): %w", env, err)
		}
		var is struct {
			Type credentials.CredType `json:"type"`
		}
		if json.Unmarshal(raw, &is) != nil || is.Type != credentials.ServiceAccount {
			return redact.Secret{}, errs.Newf(errs.Unsupported, "the operator's own credentials (%s) are no key of a service account, and nothing else can sign: use secretRef or workloadIdentity", env)
		}
		return signByKey(raw, audience, clk.Now())
	}
}

// machine asks the metadata server for the identity of the machine, all of it: a
// vault wants to know project, zone and instance.
func (c *Client) machine(ctx context.Context, audience string) (redact.Secret, error) {
	query := url.Values{"audience": {"http://" + audience}, "format": {"full"}}
	raw, err := c.askMetadata(ctx, "instance/service-accounts/default/identity", query)
	token := bytes.TrimSpace(raw)
	if err != nil || bytes.Count(token, []byte(".")) != 2 {
		return redact.Secret{}, errs.New(errs.Unavailable,
			"the operator has no identity of its own at Google that answers: use secretRef or workloadIdentity, or give the operator one (docs/stores/google-secret-manager.md)")
	}
	return redact.New(token), nil
}
