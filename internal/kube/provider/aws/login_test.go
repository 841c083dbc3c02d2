package aws_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

// One login serves a store until two thirds of its life are over, and is then
// replaced; when that fails, it serves until its end.
func TestOneLogin(t *testing.T) {
	w := newWorld(t)
	clock := advance(w)
	w.server.Put("a", "x")
	w.server.AddRole(role("reader"), awstest.Role{WebToken: webToken + ":team/reader"})
	st := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = byAccount("reader") }))
	logins := func(want int) {
		t.Helper()
		w.Read(st, provider.Request{Key: "a"}, "x")
		if n := w.server.Count("AssumeRoleWithWebIdentity"); n != want {
			t.Errorf("%d logins, want %d", n, want)
		}
	}
	for range 3 {
		logins(1)
	}
	if names := w.server.SessionNames(); !slices.Equal(names, []string{"strongkeep.team.store"}) {
		t.Errorf("session names %q", names)
	}
	clock.Step(39 * time.Minute)
	logins(1)
	clock.Step(2 * time.Minute)
	logins(2)
	// STS is away from the time to renew to the end.
	w.server.Fail("AssumeRoleWithWebIdentity", awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
	clock.Step(41 * time.Minute)
	logins(3)
	logins(3) // not at each read
	clock.Step(11 * time.Second)
	logins(4)
	clock.Step(20 * time.Minute)
	_, err := st.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unavailable, "assuming role "+role("reader"))
	w.server.Mend()
	w.Read(st, provider.Request{Key: "a"}, "x")
}

// What AWS does not accept leads to one new login, and not to one for each read.
func TestRefusedLogins(t *testing.T) {
	w := newWorld(t)
	clock := advance(w)
	w.server.Put("a", "x")
	st := w.Open(settings(aws.SecretsManager, nil))
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.server.AddKey("AKIAEXAMPLEEXAMPLE02", "canary-second")
	w.server.RemoveKey(awstest.KeyID)
	_, err := st.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unauthenticated, "UnrecognizedClientException")
	w.Cluster.Data["id"], w.Cluster.Data["secret"] = "AKIAEXAMPLEEXAMPLE02", "canary-second"
	clock.Step(11 * time.Second)
	w.Read(st, provider.Request{Key: "a"}, "x") // the Secret was read again
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	// A refused signature is told without the words that AWS has for it: they hold
	// the session's token.
	w.Cluster.Data["secret"] = "canary-wrong"
	wrong := w.Open(settings(aws.SecretsManager, nil))
	_, err = wrong.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unauthenticated, "InvalidSignatureException")
	w.Refused(wrong.Check(t.Context()), errs.Unauthenticated)
	delete(w.Cluster.Data, "id")
	_, err = w.Open(settings(aws.SecretsManager, nil)).Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unavailable, "has no key")
}

// facts §2.2: roles are assumed one after the other; the last has the external id
// and the tags.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	w.server.AddRole(role("one"), awstest.Role{By: "user/example"})
	w.server.AddRole(role("two"), awstest.Role{By: role("one"), ExternalID: "ours",
		Tags: map[string]string{"esoNamespace": "team", "esoStoreName": "store", "esoStoreKind": "SecretStore", "cost": "1", "unit": "x"}})
	chain := func(s *aws.Settings) {
		s.AdditionalRoles, s.Role, s.ExternalID = []string{role("one")}, role("two"), "ours"
		s.SessionTags, s.TransitiveTagKeys = []aws.Tag{{Key: "cost", Value: "1"}}, []string{"cost"}
		s.SessionTagsPolicy, s.CustomSessionTags = "Custom", map[string]string{"unit": "x"}
	}
	st := w.Open(settings(aws.SecretsManager, chain))
	w.Read(st, provider.Request{Key: "a"}, "x")
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.server.Count("AssumeRole"); n != 2 {
		t.Errorf("%d roles assumed, want 2", n)
	}
	_, err := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { chain(s); s.ExternalID = "theirs" })).Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unauthenticated, role("two"), "trust policy", "not authorized")
	bad := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = byAccount("other") }))
	_, err = bad.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unauthenticated, role("reader"), "OIDC provider")
	w.Refused(bad.Check(t.Context()), errs.Unauthenticated)
}

func TestWebIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	w.server.AddRole(role("reader"), awstest.Role{WebToken: webToken + ":team/reader"})
	extra := settings(aws.SecretsManager, func(s *aws.Settings) {
		s.Auth = byAccount("reader")
		s.Auth.JWT.ServiceAccountRef.Audiences = []string{"more"}
	})
	w.Read(w.Open(extra), provider.Request{Key: "a"}, "x")
	if !slices.Equal(w.Cluster.Audiences(), []string{"sts.amazonaws.com", "more"}) {
		t.Errorf("audiences %q", w.Cluster.Audiences())
	}
	w.Cluster.Annotations["eks.amazonaws.com/audience"] = "mine"
	w.Read(w.Open(extra), provider.Request{Key: "a"}, "x")
	if !slices.Equal(w.Cluster.Audiences(), []string{"mine", "more"}) {
		t.Errorf("audiences %q", w.Cluster.Audiences())
	}
	w.Cluster.Annotations = nil
	_, err := w.Open(extra).Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Invalid, "annotate it with eks.amazonaws.com/role-arn")
	_, err = w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = byAccount("absent") })).Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unavailable, "does not exist")
}

// The operator's own identity comes from where AWS's own tools look, and only a
// ClusterSecretStore has it, unless the operator is told otherwise.
func TestOwnIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(webToken), 0o600); err != nil {
		t.Fatal(err)
	}
	w.server.AddRole(role("own"), awstest.Role{WebToken: webToken})
	// What answers on a node: the agent of EKS Pod Identity, and the instance.
	node := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		doc := `"AccessKeyId":"` + awstest.KeyID + `","SecretAccessKey":"` + awstest.KeySecret + `","Token":"","Expiration":"2999-01-01T00:00:00Z"`
		switch {
		case r.URL.Path == "/pod" && r.Header.Get("Authorization") == webToken:
			_, _ = rw.Write([]byte("{" + doc + "}"))
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			rw.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = rw.Write([]byte("imds"))
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "imds":
			http.Error(rw, "canary", http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = rw.Write([]byte("node"))
		case strings.HasSuffix(r.URL.Path, "/security-credentials/node"):
			_, _ = rw.Write([]byte(`{"Code":"Success",` + doc + "}"))
		default:
			http.Error(rw, "canary", http.StatusNotFound)
		}
	}))
	t.Cleanup(node.Close)
	own := settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = aws.Auth{} })
	for name, c := range map[string]struct {
		env map[string]string
		err string
	}{
		"keys":         {env: map[string]string{"AWS_ACCESS_KEY_ID": awstest.KeyID, "AWS_SECRET_ACCESS_KEY": awstest.KeySecret}},
		"web identity": {env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": role("own")}},
		"pod identity": {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/pod", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}},
		"instance":     {env: map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": node.URL}},
		"none":         {env: map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, err: "no identity of its own"},
		"elsewhere":    {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://elsewhere.example/"}, err: "neither https"},
		"no token":     {env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token + "x"}, err: "reading the operator's own token"},
		"not for us":   {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/x"}, err: "Pod Identity"},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldOf(t, w.server, w.Cluster)
			w.Everywhere()
			w.getenv = func(name string) string {
				if v, ok := c.env[name]; ok {
					return v
				}
				return w.server.Getenv(name)
			}
			st := w.Open(own)
			if c.err != "" {
				_, err := st.Read(t.Context(), provider.Request{Key: "a"})
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "canary") || errs.Is(err, errs.NotExist) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			w.Read(st, provider.Request{Key: "a"}, "x")
			if err := st.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := w.TryOpen(own)
	w.Refused(err, errs.Denied, "auth.jwt")
	w.ambient = provider.AmbientAll
	if _, err := w.TryOpen(own); err != nil {
		t.Error(err)
	}
}

// Where the services can be reached and STS cannot, a key is not said to be bad.
func TestCheckWithoutSTS(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	w.getenv = func(name string) string {
		if name == "AWS_STS_ENDPOINT" {
			return "http://127.0.0.1:1"
		}
		return w.server.Getenv(name)
	}
	st := w.Open(settings(aws.SecretsManager, nil))
	if err := st.Check(t.Context()); !errs.Is(err, errs.Unsupported) {
		t.Errorf("%v, want that it cannot be checked", err)
	}
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.Refused(w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = byAccount("reader") })).Check(t.Context()), errs.Unavailable)
}
