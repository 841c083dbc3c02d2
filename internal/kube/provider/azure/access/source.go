package access

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Principal is a service principal, with one of the two or a token.
type Principal struct {
	Tenant, Client string
	Secret         redact.Secret
	Certificate    redact.Secret // PEM or PKCS#12, with its key
	Token          func(context.Context) (redact.Secret, error)
}

// Login signs in as a service principal that who names at each login.
func Login(c *Client, scope string, who func(context.Context) (Principal, error)) login.Source {
	return func(ctx context.Context) (login.Token, error) {
		p, err := who(ctx)
		if err != nil {
			return login.Token{}, err
		}
		doing := "signing in as client " + login.Plain(p.Client) + " of tenant " + login.Plain(p.Tenant)
		a := &attempt{Client: c}
		// The authority is one that is known here; nobody needs to be asked whether it is one.
		options := azcore.ClientOptions{
			Transport: a, Retry: policy.RetryOptions{MaxRetries: -1}, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "https://" + c.authority + "/"},
		}
		var asked error
		var cred azcore.TokenCredential
		advice := "correct the secret, or make a new one of the application"
		switch {
		case p.Token != nil:
			advice = "the application's federated credential must name the cluster's issuer, the ServiceAccount and the audience"
			cred, err = azidentity.NewClientAssertionCredential(p.Tenant, p.Client, func(ctx context.Context) (string, error) {
				var t redact.Secret
				t, asked = p.Token(ctx)
				return t.RevealString(), asked
			}, &azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		case !p.Certificate.Empty():
			certs, key, parseErr := azidentity.ParseCertificates(p.Certificate.Reveal(), nil)
			if parseErr != nil { // it may quote the key
				return login.Token{}, errs.New(errs.Unauthenticated, "authSecretRef.clientCertificate: the Secret holds no certificate with its key, as PEM or PKCS#12 without a password")
			}
			cred, err = azidentity.NewClientCertificateCredential(p.Tenant, p.Client, certs, key,
				&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true, SendCertificateChain: true})
		default:
			cred, err = azidentity.NewClientSecretCredential(p.Tenant, p.Client, p.Secret.RevealString(),
				&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		}
		if err != nil {
			return login.Token{}, a.refused(doing, advice)
		}
		t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		switch {
		case asked != nil:
			return login.Token{}, asked
		case ctx.Err() != nil:
			return login.Token{}, errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
		case err != nil:
			return login.Token{}, a.refused(doing, advice)
		}
		return login.Token{Value: redact.FromString(t.Token), Expires: t.ExpiresOn}, nil
	}
}

// metadataTimeout bounds a question to the node's metadata service.
const metadataTimeout = 5 * time.Second

// ManagedIdentity returns a Source of an identity of the node, or of the operator's
// pod: the one whose client id is client, or the only one.
func ManagedIdentity(c *Client, scope, client string) login.Source {
	return func(ctx context.Context) (login.Token, error) {
		const doing = "asking the node for the operator's managed identity"
		ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
		defer cancel()
		query := url.Values{"api-version": {"2018-02-01"}, "resource": {strings.TrimSuffix(scope, "/.default")}}
		if client != "" {
			query.Set("client_id", client)
		}
		at := url.URL{Scheme: "http", Host: metadataHost, Path: "/metadata/identity/oauth2/token", RawQuery: query.Encode()}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
		if err != nil {
			return login.Token{}, errs.Newf(errs.Internal, "%s: %w", doing, err)
		}
		req.Header.Set("Metadata", "true")
		a := &attempt{Client: c}
		answer, err := a.Do(req)
		const advice = "assign one to the nodes, or set authType: WorkloadIdentity"
		if err != nil {
			return login.Token{}, a.refused(doing, advice)
		}
		var token struct {
			Token   string `json:"access_token"`
			Expires string `json:"expires_on"` // seconds of the epoch
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(body, &token) != nil {
			return login.Token{}, a.refused(doing, advice)
		}
		seconds, err := strconv.ParseInt(token.Expires, 10, 64)
		if err != nil {
			return login.Token{}, a.refused(doing, advice)
		}
		return login.Token{Value: redact.FromString(token.Token), Expires: time.Unix(seconds, 0)}, nil
	}
}

// Own returns who the operator itself is by workload identity: what the webhook of
// Azure writes into a pod's environment.
func Own(getenv func(string) string) func(context.Context) (Principal, error) {
	return func(context.Context) (Principal, error) {
		p := Principal{Tenant: getenv("AZURE_TENANT_ID"), Client: getenv("AZURE_CLIENT_ID")}
		file := getenv("AZURE_FEDERATED_TOKEN_FILE")
		if p.Tenant == "" || p.Client == "" || file == "" {
			return p, errs.New(errs.Unauthenticated,
				"the operator has no workload identity of its own (AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE): set serviceAccountRef")
		}
		p.Token = func(context.Context) (redact.Secret, error) {
			raw, err := os.ReadFile(file)
			if err != nil {
				return redact.Secret{}, errs.Newf(errs.Unavailable, "reading the operator's own token (AZURE_FEDERATED_TOKEN_FILE): %w", err)
			}
			return redact.New(raw), nil
		}
		return p, nil
	}
}

// Credential gives the SDK the tokens of a Keeper. It implements azcore.TokenCredential.
type Credential struct {
	Keeper *login.Keeper
	Scope  string
}

// GetToken implements azcore.TokenCredential. A vault that asks for a token for
// something else than vaults gets none.
func (c Credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(o.Scopes) != 1 || o.Scopes[0] != c.Scope {
		return azcore.AccessToken{}, errs.New(errs.Unavailable, "the vault asks for a token that is not for vaults")
	}
	t, err := c.Keeper.Token(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: t.Value.RevealString(), ExpiresOn: t.Expires}, nil
}
