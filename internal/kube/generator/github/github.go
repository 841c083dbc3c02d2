package github

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks GitHub, or a GitHub Enterprise Server.
type Kind struct {
	// Private are the private networks where such a server may be; see outbound.Config.
	Private []netip.Prefix
	// Loopback and CABundle are for tests.
	Loopback bool
	CABundle string
}

var _ generator.Kind = Kind{}

const (
	usualURL = "https://api.github.com"
	// A login is for one request; GitHub takes none that is longer than ten minutes.
	loginLife = 5 * time.Minute
	// skew is by how much GitHub's clock may be behind.
	skew = time.Minute
)

// ids are those of Apps and installations: numbers, and for Apps client ids.
var ids = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.GithubAccessTokenSpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	at, err := address(spec)
	if err != nil {
		return generator.Made{}, err
	}
	login, err := login(ctx, cfg, spec)
	if err != nil {
		return generator.Made{}, err
	}
	client, err := outbound.Client(outbound.Config{Private: k.Private, Loopback: k.Loopback, CABundle: k.CABundle})
	if err != nil {
		return generator.Made{}, err
	}
	body, err := json.Marshal(struct {
		Repositories []string          `json:"repositories,omitempty"`
		Permissions  map[string]string `json:"permissions,omitempty"`
	}{spec.Repositories, spec.Permissions})
	if err != nil {
		return generator.Made{}, errs.New(errs.Internal, "encoding a request")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return generator.Made{}, errs.New(errs.Invalid, "spec.url is no address")
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + login.RevealString(), "Accept": "application/vnd.github+json", "Content-Type": "application/json",
		"X-GitHub-Api-Version": "2022-11-28", "User-Agent": "strongkeep",
	} {
		req.Header.Set(name, value)
	}
	answer, err := client.Do(req)
	if err != nil {
		return generator.Made{}, outbound.Unreached("GitHub at "+req.URL.Host, err)
	}
	defer answer.Body.Close() //nolint:errcheck // read, or given up
	text, err := outbound.ReadAll(answer)
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "GitHub's answer: %w", err)
	}
	if answer.StatusCode != http.StatusCreated {
		return generator.Made{}, refusal(answer.StatusCode, spec)
	}
	return token(text)
}

func address(spec v1alpha1.GithubAccessTokenSpec) (string, error) {
	base := strings.TrimRight(spec.URL, "/")
	if base == "" {
		base = usualURL
	}
	u, err := outbound.URL("spec.url", base)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" {
		return "", errs.New(errs.Invalid, "spec.url must have no query")
	}
	if !ids.MatchString(spec.AppID) || !ids.MatchString(spec.InstallID) {
		return "", errs.New(errs.Invalid, "spec.appID and spec.installID must be ids: letters, digits, '.', '_' and '-'")
	}
	return base + "/app/installations/" + spec.InstallID + "/access_tokens", nil
}

// login makes a JSON Web Token that shows that we have the App's key.
func login(ctx context.Context, cfg generator.Config, spec v1alpha1.GithubAccessTokenSpec) (redact.Secret, error) {
	const field = "spec.auth.privateKey.secretRef"
	from := spec.Auth.PrivateKey.SecretRef
	ref, err := cfg.Scope.Ref(field, from.Namespace, from.Name)
	if err != nil {
		return redact.Secret{}, err
	}
	if from.Key == "" {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: key is missing", field)
	}
	text, err := cfg.Cluster.SecretKey(ctx, ref, from.Key)
	if err != nil {
		return redact.Secret{}, err
	}
	key, ok := privateKey(text.Reveal())
	if !ok {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: key %q of Secret %q is not an RSA private key in PEM, as GitHub gives it", field, from.Key, ref)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: the key cannot sign", field)
	}
	now := cfg.Clock.Now()
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: spec.AppID, IssuedAt: jwt.NewNumericDate(now.Add(-skew)), Expiry: jwt.NewNumericDate(now.Add(loginLife)),
	}).Serialize()
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: the key cannot sign", field)
	}
	return redact.FromString(signed), nil
}

// privateKey reads PKCS #1, which GitHub gives, or PKCS #8.
func privateKey(text []byte) (*rsa.PrivateKey, bool) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, false
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, true
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	return key, err == nil && ok
}

// refusal says what an answer that is no token means. GitHub's words are not told:
// they may quote what was sent.
func refusal(status int, spec v1alpha1.GithubAccessTokenSpec) error {
	said := "GitHub answers " + strconv.Itoa(status)
	switch {
	case status == http.StatusUnauthorized:
		return errs.Newf(errs.Unauthenticated, "%s: it does not know spec.appID %q with that key, or the clocks differ", said, spec.AppID)
	case status == http.StatusForbidden, status == http.StatusTooManyRequests:
		return errs.Newf(errs.Denied, "%s: the App is suspended, or asks too often", said)
	case status == http.StatusNotFound:
		return errs.Newf(errs.Invalid, "%s: App %q has no installation %q", said, spec.AppID, spec.InstallID)
	case status == http.StatusUnprocessableEntity:
		return errs.Newf(errs.Invalid, "%s: the installation has not all of spec.repositories and spec.permissions", said)
	case status >= http.StatusInternalServerError:
		return errs.New(errs.Unavailable, said+": it is tried again")
	}
	return errs.New(errs.Invalid, said+": is spec.url that of its API?")
}

func token(text []byte) (generator.Made, error) {
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Token == "" {
		return generator.Made{}, errs.New(errs.Unavailable, "GitHub's answer has no token: is spec.url that of its API?")
	}
	return generator.Made{Data: map[string]redact.Secret{"token": redact.FromString(answer.Token)}, Expires: answer.Expires}, nil
}
