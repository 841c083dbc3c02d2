package auth

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-7e1b"

// source has every Secret and ServiceAccount; asked is what was wanted last.
type source struct{ asked string }

func (s *source) SecretKey(_ context.Context, field string, ref *v1.SecretKeySelector, key string) (redact.Secret, error) {
	if ref.Name == "absent" {
		return redact.Secret{}, errs.Newf(errs.NotExist, "%s: there is none", field)
	}
	s.asked = field + " " + ref.Name + " " + orElse(ref.Key, key)
	return redact.FromString(canary), nil
}

func (s *source) Token(_ context.Context, field string, account *v1.ServiceAccountSelector, audiences []string) (redact.Secret, error) {
	s.asked = field + " " + account.Name + " " + strings.Join(audiences, ",")
	return redact.FromString(canary), nil
}

func (s *source) Signed(context.Context) (map[string]any, error) {
	s.asked = "signed"
	return map[string]any{"signed": canary}, nil
}

func parse(t *testing.T, text string) *Auth {
	t.Helper()
	var a Auth
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

// facts/external-secrets.md §2: each method with its usual path and one's own.
func TestRequest(t *testing.T) {
	for text, want := range map[string]struct {
		path, asked, describes, role string
		body                         map[string]any
	}{
		`{"kubernetes":{"role":"app","serviceAccountRef":{"name":"web","audiences":["a","b"]}}}`: {
			"auth/kubernetes/login", "auth.kubernetes.serviceAccountRef web a,b", `role "app" at auth/kubernetes as ServiceAccount "web"`, "auth/kubernetes/role/app",
			map[string]any{"role": "app", "jwt": canary}},
		`{"kubernetes":{"role":"app","mountPath":"/k8s/","secretRef":{"name":"s"}}}`: {
			"auth/k8s/login", "auth.kubernetes.secretRef s token", `role "app" at auth/k8s`, "auth/k8s/role/app", map[string]any{"role": "app", "jwt": canary}},
		`{"appRole":{"roleId":"r","secretRef":{"name":"s","key":"id"}}}`: {
			"auth/approle/login", "auth.appRole.secretRef s id", "the role ID at auth/approle", "auth/approle/role/NAME", map[string]any{"role_id": "r", "secret_id": canary}},
		`{"ldap":{"username":"ann","secretRef":{"name":"s"}}}`: {
			"auth/ldap/login/ann", "auth.ldap.secretRef s password", `user "ann" at auth/ldap`, "auth/ldap/users/ann", map[string]any{"password": canary}},
		`{"userPass":{"username":"ann b","path":"up","secretRef":{"name":"s","key":"k"}}}`: {
			"auth/up/login/ann b", "auth.userPass.secretRef s k", `user "ann b" at auth/up`, "auth/up/users/ann b", map[string]any{"password": canary}},
		`{"jwt":{"role":"app","secretRef":{"name":"s"}}}`: {
			"auth/jwt/login", "auth.jwt.secretRef s token", `role "app" at auth/jwt`, "auth/jwt/role/app", map[string]any{"role": "app", "jwt": canary}},
		`{"jwt":{"kubernetesServiceAccountToken":{"serviceAccountRef":{"name":"web"}}}}`: {
			"auth/jwt/login", "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef web vault", `the usual role at auth/jwt as ServiceAccount "web"`, "auth/jwt/role/NAME",
			map[string]any{"jwt": canary}},
		`{"jwt":{"path":"oidc","kubernetesServiceAccountToken":{"serviceAccountRef":{"name":"web","audiences":["a"]},"audiences":["b"],"expirationSeconds":600}}}`: {
			"auth/oidc/login", "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef web a,b", `the usual role at auth/oidc as ServiceAccount "web"`, "auth/oidc/role/NAME",
			map[string]any{"jwt": canary}},
		`{"cert":{"vaultRole":"web","clientCert":{"name":"pair"},"secretRef":{"name":"pair"}}}`: {
			"auth/cert/login", "", `role "web" at auth/cert with the certificate in Secret "pair"`, "auth/cert/certs/web", map[string]any{"name": "web"}},
		`{"cert":{"clientCert":{"name":"pair"},"secretRef":{"name":"pair"}}}`: {
			"auth/cert/login", "", `the usual role at auth/cert with the certificate in Secret "pair"`, "auth/cert/certs/NAME", map[string]any{}},
		`{"iam":{"vaultRole":"app","role":"arn:aws:iam::123456789012:role/r","jwt":{"serviceAccountRef":{"name":"web"}}}}`: {
			"auth/aws/login", "signed", `role "app" at auth/aws as ServiceAccount "web" and role arn:aws:iam::123456789012:role/r`, "auth/aws/role/app",
			map[string]any{"signed": canary}},
		`{"gcp":{"role":"app","path":"/g/","projectID":"p","location":"l","serviceAccountRef":{"name":"web"}}}`: {
			"auth/g/login", "signed", `role "app" at auth/g as ServiceAccount "web"`, "auth/g/role/app", map[string]any{"signed": canary}},
	} {
		a, from := parse(t, text), &source{}
		if err := a.Check(); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		path, body, err := a.Request(t.Context(), from)
		if err != nil || path != want.path || !maps.Equal(body, want.body) || from.asked != want.asked {
			t.Errorf("%s: %s, %d fields, asked for %q (%v); want %s, %q", text, path, len(body), from.asked, err, want.path, want.asked)
		}
		if a.String() != want.describes || a.RolePath() != want.role {
			t.Errorf("%s: %s, %s", text, a, a.RolePath())
		}
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "has 0", `{"ldap":{},"jwt":{}}`: "has 2: jwt, ldap", `{"iam":{}}`: "auth.iam.vaultRole is missing", `{"gcp":{}}`: "auth.gcp.role is missing",
		`{"iam":{"vaultRole":"r","vaultAwsIamServerID":"a\r\nb"}}`:             "cannot be the value of a header",
		`{"iam":{"vaultRole":"r","path":"../x"}}`:                              "cannot be the path of an auth method",
		`{"gcp":{"role":"r","secretRef":{},"serviceAccountRef":{"name":"a"}}}`: "keep one",
		`{"kubernetes":{"role":"r"}}`:                                          "lends nobody its own ServiceAccount",
		`{"kubernetes":{"secretRef":{"name":"s"}}}`:                            "auth.kubernetes.role is missing",
		`{"appRole":{}}`: "exactly one of roleId and roleRef",
		`{"ldap":{}}`:    "auth.ldap.username is missing",
		`{"userPass":{"username":"../../sys/x"}}`:                     "no slash",
		`{"userPass":{"username":".."}}`:                              "no slash",
		`{"ldap":{"username":"a\u0000b"}}`:                            "no control character",
		`{"jwt":{"path":"a/../../sys","secretRef":{"name":"s"}}}`:     "cannot be the path of an auth method",
		`{"jwt":{"role":"r"}}`:                                        "exactly one of secretRef and kubernetesServiceAccountToken",
		`{"cert":{"clientCert":{"name":"pair"}}}`:                     "the certificate, and secretRef, its key",
		`{"jwt":{"secretRef":{},"kubernetesServiceAccountToken":{}}}`: "exactly one of secretRef",
	} {
		if err := parse(t, text).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := (*Auth)(nil).Check(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "auth is missing") {
		t.Error(err)
	}
	for _, text := range []string{
		`{"ldap":{"username":"a","secretRef":{"name":"absent"}}}`, `{"jwt":{"secretRef":{"name":"absent"}}}`,
		`{"appRole":{"roleRef":{"name":"absent"},"secretRef":{"name":"s"}}}`, `{"kubernetes":{"role":"r","secretRef":{"name":"absent"}}}`,
	} {
		if _, _, err := parse(t, text).Request(t.Context(), &source{}); !errs.Is(err, errs.NotExist) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What a manifest says is anybody's: a login that passes stays below its mount.
func FuzzAuth(f *testing.F) {
	f.Add(`{"ldap":{"username":"a","secretRef":{"name":"s"}}}`)
	f.Add(`{"cert":{"path":"../x","clientCert":{"name":"p"},"secretRef":{"name":"p"}}}`)
	f.Add(`{"iam":{"vaultRole":"r","path":"a/../b"}}`)
	f.Add(`{"gcp":{"role":"r","secretRef":{"secretAccessKeySecretRef":{"name":"k"}}}}`)
	f.Add(`{"jwt":{"kubernetesServiceAccountToken":{"serviceAccountRef":{"name":"web"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var a Auth
		if json.Unmarshal([]byte(text), &a) != nil || a.Check() != nil {
			return
		}
		_, _ = a.String(), a.RolePath()
		path, _, err := a.Request(t.Context(), &source{})
		if err != nil || a.Mount() == "" {
			return
		}
		for _, part := range strings.Split(path, "/") {
			if part == ".." || part == "." {
				t.Errorf("%s logs in at %q", text, path)
			}
		}
	})
}
