package access

import (
	"context"
	"encoding/json"
	"net/url"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Key returns a Source that signs in with a service account's key, a JSON document
// that is read at each login.
func Key(c *Client, read func(context.Context) (redact.Secret, error)) login.Source {
	return func(ctx context.Context) (login.Token, error) {
		raw, err := read(ctx)
		if err != nil {
			return login.Token{}, err
		}
		who, err := checkKey(raw.Reveal())
		if err != nil {
			return login.Token{}, err
		}
		a := c.attempt()
		creds, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, raw.Reveal(), &credentials.DetectOptions{
			Scopes: []string{scope}, Client: a.http, Logger: quiet(),
		})
		return a.token(ctx, creds, err, "signing in as "+who, "make a new key of the service account, or correct the Secret")
	}
}

// checkKey returns whose key it is. Where a key is sent to is in the key itself, so
// that is looked at: whoever writes a Secret must not choose what the operator calls.
func checkKey(raw []byte) (who string, err error) {
	var key struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		TokenURI string `json:"token_uri"`
		Universe string `json:"universe_domain"`
	}
	if json.Unmarshal(raw, &key) != nil || key.Type == "" { // the error may quote the key
		return "", errs.New(errs.Unauthenticated, "auth.secretRef: the Secret holds no JSON key of a service account")
	}
	at, err := url.Parse(key.TokenURI)
	switch {
	case key.Type != string(credentials.ServiceAccount):
		return "", errs.Newf(errs.Unsupported, "auth.secretRef: the key is of type %q: only service_account is taken; for others use auth.workloadIdentityFederation", login.Plain(key.Type))
	case err != nil, key.TokenURI != "" && (at.Scheme != "https" || !tokenHost(at.Host)):
		return "", errs.New(errs.Invalid, "auth.secretRef: token_uri of the key is not Google's: keys are sent nowhere else")
	case key.Universe != "" && key.Universe != "googleapis.com":
		return "", errs.Newf(errs.Unsupported, "auth.secretRef: universe_domain %q of the key is not supported", login.Plain(key.Universe))
	}
	return login.Plain(key.Email), nil
}

// token ends a login by a library.
func (a *attempt) token(ctx context.Context, creds *auth.Credentials, err error, doing, advice string) (login.Token, error) {
	if err != nil {
		return login.Token{}, a.refused(doing, err, advice)
	}
	t, err := creds.Token(ctx)
	if err != nil {
		return login.Token{}, a.refused(doing, err, advice)
	}
	return login.Token{Value: redact.FromString(t.Value), Expires: t.Expiry}, nil
}
