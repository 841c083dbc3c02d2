package access

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Account is a ServiceAccount of the cluster.
type Account interface {
	// Token returns a token of it, for an audience.
	Token(ctx context.Context, audience string) (redact.Secret, error)
	// Email names the service account of Google that it stands for; "" when none.
	Email(ctx context.Context) (string, error)
}

// Workload is the workload identity of a GKE cluster. What is empty the metadata
// server of the node tells.
type Workload struct {
	Project, Location, Cluster string
	Account                    Account
	Clock                      clock.PassiveClock
}

// Source returns a Source of w.
func (w Workload) Source(c *Client) login.Source {
	return func(ctx context.Context) (login.Token, error) {
		for _, missing := range []struct {
			field *string
			path  string
			name  string
		}{
			{&w.Project, "project/project-id", "clusterProjectID"},
			{&w.Location, "instance/attributes/cluster-location", "clusterLocation"},
			{&w.Cluster, "instance/attributes/cluster-name", "clusterName"},
		} {
			if err := c.Metadata(ctx, missing.field, missing.path, "auth.workloadIdentity."+missing.name); err != nil {
				return login.Token{}, err
			}
		}
		pool := w.Project + ".svc.id.goog"
		token, err := w.Account.Token(ctx, pool)
		if err != nil {
			return login.Token{}, err
		}
		federated, err := w.exchange(ctx, c.attempt(), pool, token)
		if err != nil {
			return login.Token{}, err
		}
		email, err := w.Account.Email(ctx)
		if err != nil || email == "" {
			return federated, err
		}
		return c.impersonate(ctx, federated, email)
	}
}

// exchange has Google take the token of the cluster for one of its own.
func (w Workload) exchange(ctx context.Context, a *attempt, pool string, token redact.Secret) (login.Token, error) {
	req, err := a.post(ctx, "https://securetoken.googleapis.com/v1/identitybindingtoken", map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token":        token.RevealString(),
		"audience": "identitynamespace:" + pool + ":https://container.googleapis.com/v1/projects/" + w.Project +
			"/locations/" + w.Location + "/clusters/" + w.Cluster,
		"scope": scope,
	})
	if err != nil {
		return login.Token{}, err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	err = a.call(req, "exchanging the ServiceAccount's token in pool "+pool,
		"auth.workloadIdentity must name this GKE cluster, which must have workload identity enabled", &answer)
	if err != nil {
		return login.Token{}, err
	}
	t := login.Token{Value: redact.FromString(answer.Token)}
	if answer.Seconds > 0 {
		t.Expires = w.Clock.Now().Add(time.Duration(answer.Seconds) * time.Second)
	}
	return t, nil
}

// emails are those of service accounts. What is in here becomes part of an address.
var emails = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}@[A-Za-z0-9.-]{1,128}$`)

// impersonation returns the address at which something is done as a service account.
func impersonation(email, method string) (string, error) {
	if !emails.MatchString(email) {
		return "", errs.Newf(errs.Invalid, "%q is no service account such as reader@my-project.iam.gserviceaccount.com", login.Plain(email))
	}
	return "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + email + ":" + method, nil
}

// impersonate makes a token of a service account.
func (c *Client) impersonate(ctx context.Context, by login.Token, email string) (login.Token, error) {
	at, err := impersonation(email, "generateAccessToken")
	if err != nil {
		return login.Token{}, err
	}
	a := c.attempt()
	req, err := a.post(ctx, at, map[string]any{"scope": []string{scope}, "lifetime": "3600s"})
	if err != nil {
		return login.Token{}, err
	}
	req.Header.Set("Authorization", "Bearer "+by.Value.RevealString())
	var answer struct {
		Token   string    `json:"accessToken"`
		Expires time.Time `json:"expireTime"`
	}
	err = a.call(req, "taking the place of "+email,
		"it must grant the ServiceAccount roles/iam.workloadIdentityUser", &answer)
	return login.Token{Value: redact.FromString(answer.Token), Expires: answer.Expires}, err
}

// Metadata fills field, if it is empty, with what the metadata server says at path.
// instead names the setting to use without one.
func (c *Client) Metadata(ctx context.Context, field *string, path, instead string) error {
	if *field != "" {
		return nil
	}
	raw, err := c.askMetadata(ctx, path, nil)
	if err != nil || len(raw) == 0 || !names.MatchString(string(raw)) {
		return errs.Newf(errs.Unavailable, "the metadata server of the node does not tell: set %s", instead)
	}
	*field = string(raw)
	return nil
}

// names are those of projects, places and clusters. What is in here becomes part of
// an address.
var names = regexp.MustCompile(`^[a-z0-9.:-]{1,128}$`)

func (c *Client) askMetadata(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	u := url.URL{Scheme: "http", Host: c.metadata, Path: "/computeMetadata/v1/" + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Metadata-Flavor", "Google") //nolint:misspell // the header of Google
	direct := c.transport.Clone()
	direct.Proxy, direct.DisableKeepAlives = nil, true // it is on the node
	a := (&Client{transport: direct, metadata: c.metadata}).attempt()
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Metadata-Flavor") != "Google" { //nolint:misspell // the header of Google
		return nil, errs.New(errs.Unavailable, "no answer of a metadata server")
	}
	return readAll(resp.Body)
}
