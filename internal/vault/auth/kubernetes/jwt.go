package kubernetes

import (
	"crypto"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxJWT is far above what an API server issues.
const maxJWT = 32 << 10

// leeway is how far the clocks of vault and cluster may be apart: the API
// server, which is always asked, has the last word.
const leeway = time.Minute

// algorithms are those an API server may sign with.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// claims are those of a ServiceAccount's token, of either shape: "kubernetes.io"
// is in tokens from the TokenRequest API, the flat names in those from Secrets.
type claims struct {
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	Expires   float64  `json:"exp"` // seconds; 0 = never, which only Secrets' tokens have
	NotBefore float64  `json:"nbf"`

	Bound struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"serviceaccount"`
		Secret struct {
			Name string `json:"name"`
		} `json:"secret"`
		Pod  boundTo `json:"pod"`
		Node boundTo `json:"node"`
	} `json:"kubernetes.io"`

	Namespace  string `json:"kubernetes.io/serviceaccount/namespace"`
	Name       string `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID        string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	SecretName string `json:"kubernetes.io/serviceaccount/secret.name"`
}

// boundTo names something of the cluster that a token is bound to.
type boundTo struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// audience is one string or a list of them.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	if jsontext.Value(b).Kind() == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*a = audience{one}
	return nil
}

// identity is a ServiceAccount.
type identity struct{ namespace, name, uid string }

// parseJWT reads a token without believing it. Kind Denied; nothing of the token
// is quoted.
func parseJWT(text string) (*jose.JSONWebSignature, *claims, error) {
	bad := errs.New(errs.Denied, "permission denied: the jwt is not the token of a Kubernetes ServiceAccount")
	if len(text) > maxJWT || strings.Count(text, ".") != 2 || strings.HasSuffix(text, ".") {
		return nil, nil, bad
	}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return nil, nil, bad
	}
	c := new(claims)
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), c); err != nil {
		return nil, nil, bad
	}
	if id := c.identity(); id.namespace == "" || id.name == "" || id.uid == "" {
		return nil, nil, bad
	}
	return jws, c, nil
}

func (c *claims) identity() identity {
	if c.Bound.Namespace != "" {
		return identity{c.Bound.Namespace, c.Bound.ServiceAccount.Name, c.Bound.ServiceAccount.UID}
	}
	return identity{c.Namespace, c.Name, c.UID}
}

func (c *claims) secretName() string {
	if c.Bound.Namespace != "" {
		return c.Bound.Secret.Name
	}
	return c.SecretName
}

// checkTimes refuses what has expired or is not valid yet.
func (c *claims) checkTimes(now time.Time) error {
	at := float64(now.UnixNano()) / 1e9
	switch {
	case c.Expires != 0 && at > c.Expires+leeway.Seconds():
		return errs.New(errs.Denied, "permission denied: the jwt has expired: read the projected token anew, the kubelet renews it in place")
	case at < c.NotBefore-leeway.Seconds():
		return errs.New(errs.Denied, "permission denied: the jwt is not valid yet: compare the clocks of this server and of the cluster")
	}
	return nil
}

// signedBy reports whether one of keys made the signature.
func signedBy(jws *jose.JSONWebSignature, keys []crypto.PublicKey) bool {
	for _, key := range keys {
		if _, err := jws.Verify(key); err == nil {
			return true
		}
	}
	return false
}
