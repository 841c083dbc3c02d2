package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
)

const (
	awsRole = "arn:aws:iam::123456789012:role/shop"
	email   = "shop@my-project.iam.gserviceaccount.com"
)

// clouds is a vault that admits who is somebody in AWS or at Google, as its methods aws
// and gcp do: it verifies what it is shown with the cloud.
type clouds struct {
	t       *testing.T
	vault   *vaulttest.Server
	aws     *awstest.Server
	google  *gcptest.Server
	cluster *providertest.Cluster
	clock   *clocktesting.FakeClock
	env     map[string]string
	ambient provider.Ambient
	store   v1.Store

	who string // was let in last
	url string // that the vault was told to ask STS at
}

func newClouds(t *testing.T) *clouds {
	c := &clouds{
		t: t, aws: awstest.New(t), google: gcptest.New(t), clock: clocktesting.NewFakeClock(time.Now()), env: map[string]string{},
		store: &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}},
		cluster: &providertest.Cluster{
			Name: "key", Data: map[string]string{"id": awstest.KeyID, "secret": awstest.KeySecret},
			Annotations: map[string]string{"eks.amazonaws.com/role-arn": awsRole, "iam.gke.io/gcp-service-account": email},
			Token: func(ref provider.Ref, audiences []string) string {
				return gcptest.WebToken("system:serviceaccount:"+ref.Namespace()+":"+ref.Name(), audiences)
			},
		},
	}
	c.aws.Clock(c.clock.Now)
	c.google.Clock(c.clock.Now)
	c.aws.AddRole(awsRole, awstest.Role{Subject: "system:serviceaccount:team:shop"})
	c.aws.AddRole(awsRole+"2", awstest.Role{By: "user/example", ExternalID: "ours"})
	c.google.Account(email, "system:serviceaccount:team:shop")
	c.cluster.Data["json"] = c.google.Key(t, email)
	c.vault = vaulttest.New()
	c.vault.Admit = func(path string, body map[string]string) bool {
		if path == "auth/gcp/login" {
			return c.admitGoogle(body)
		}
		return path == "auth/aws/login" && c.admitAWS(body)
	}
	c.vault.Start(t)
	c.vault.Put("app", `{"a":"b"}`)
	return c
}

// admitAWS does as a vault named vault.example whose role "app" is bound to whoever signs.
func (c *clouds) admitAWS(body map[string]string) bool {
	part := func(name string) []byte {
		raw, err := base64.StdEncoding.DecodeString(body[name])
		if err != nil {
			c.t.Errorf("%s is no base64", name)
		}
		return raw
	}
	c.url = string(part("iam_request_url"))
	sent := part("iam_request_body")
	req, err := http.NewRequestWithContext(c.t.Context(), body["iam_http_request_method"], c.url, bytes.NewReader(sent))
	if err != nil || json.Unmarshal(part("iam_request_headers"), &req.Header) != nil {
		c.t.Error("no request to STS", err)
		return false
	}
	region := strings.TrimSuffix(strings.TrimPrefix(req.Host, "sts."), ".amazonaws.com")
	if region == "amazonaws.com" {
		region = "us-east-1"
	}
	authorization := req.Header.Get("Authorization")
	who, ok := c.aws.Signed(req, sent, region)
	if !ok || string(sent) != "Action=GetCallerIdentity&Version=2011-06-15" || body["role"] != "app" ||
		req.Header.Get("X-Vault-AWS-IAM-Server-ID") != "vault.example" || !strings.Contains(authorization, "x-vault-aws-iam-server-id") {
		return false
	}
	c.who = who
	return true
}

// admitGoogle does as a vault whose role "app" takes service accounts and machines.
func (c *clouds) admitGoogle(body map[string]string) bool {
	claims, ok := c.google.Claims(body["jwt"])
	left := time.Unix(claims.Expires, 0).Sub(c.clock.Now())
	machine := claims.Google.Machine.Name != ""
	if !ok || body["role"] != "app" || left <= 0 || !machine && (left > 15*time.Minute || claims.Audience != "vault/app") || machine && claims.Audience != "http://vault/app" {
		return false
	}
	c.who = claims.Subject
	return true
}

// read logs in with auth, and reads; it fails where anything of a credential is told.
func (c *clouds) read(auth string) error {
	c.t.Helper()
	getenv := func(name string) string {
		for _, of := range []func(string) string{func(n string) string { return c.env[n] }, c.aws.Getenv, c.google.Getenv} {
			if v := of(name); v != "" {
				return v
			}
		}
		return ""
	}
	settings, err := json.Marshal(map[string]any{"server": c.vault.URL, "path": "secret", "auth": json.RawMessage(auth)})
	check(c.t, err)
	none, log := 0, &strings.Builder{}
	st, err := vault.Provider{Getenv: getenv, Ambient: c.ambient}.Open(c.t.Context(), provider.Config{
		Scope: provider.ScopeOf(c.store), Settings: settings, Retry: provider.Retry{Max: &none}, Cluster: c.cluster, Clock: c.clock,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err == nil {
		_, err = st.Read(c.t.Context(), provider.Request{Key: "app"})
		check(c.t, st.Close(c.t.Context()))
	}
	if told := fmt.Sprint(err, log); strings.Contains(told, "canary") || strings.Contains(told, "PRIVATE") || strings.Contains(told, "AWS4-HMAC") {
		c.t.Errorf("%s: a credential is told: %s", auth, told)
	}
	return err
}

// Whoever one is in a cloud, the vault is shown what it can verify with the cloud, bound to it or
// to its role; what is wrong is refused as a login.
func TestCloudLogins(t *testing.T) {
	const key = `"secretRef":{"accessKeyIDSecretRef":{"name":"key","key":"id"},"secretAccessKeySecretRef":{"name":"key","key":"secret"}}`
	const server = `"vaultAwsIamServerID":"vault.example","vaultRole":"app"`
	const json = `"secretRef":{"secretAccessKeySecretRef":{"name":"key","key":"json"}}`
	const gke = `"clusterLocation":"europe-west3","clusterName":"main"`
	c := newClouds(t)
	for auth, want := range map[string]struct{ who, url, err string }{
		`{"iam":{` + server + `,` + key + `}}`:                                                                         {who: "user/example", url: "https://sts.amazonaws.com/"},
		`{"iam":{` + server + `,"region":"eu-central-1",` + key + `}}`:                                                 {who: "user/example", url: "https://sts.eu-central-1.amazonaws.com/"},
		`{"iam":{` + server + `,"region":"eu-central-1","jwt":{"serviceAccountRef":{"name":"shop"}}}}`:                 {who: awsRole, url: "https://sts.eu-central-1.amazonaws.com/"},
		`{"iam":{` + server + `,"region":"eu-central-1","role":"` + awsRole + `2","externalID":"ours",` + key + `}}`:   {who: awsRole + "2"},
		`{"iam":{` + server + `,"region":"eu-central-1","role":"` + awsRole + `2","externalID":"theirs",` + key + `}}`: {err: "assuming role " + awsRole + "2"},
		`{"iam":{"vaultAwsIamServerID":"other.example","vaultRole":"app",` + key + `}}`:                                {err: "strongkeep read auth/aws/role/app"},
		`{"iam":{"vaultRole":"app",` + key + `}}`:                                                                      {err: "withheld"},
		`{"iam":{` + server + `,"jwt":{"serviceAccountRef":{"name":"other"}},"region":"eu-central-1"}}`:                {err: "by web identity"},
		`{"iam":{` + server + `,"region":"../x",` + key + `}}`:                                                         {err: `auth.iam: region is "../x"`},
		`{"iam":{` + server + `}}`: {err: "set auth.iam.jwt (or secretRef)"},
		`{"iam":{` + server + `,"jwt":{"serviceAccountRef":{"name":"shop","namespace":"other"}}}}`:                              {err: "reads only its own namespace"},
		`{"gcp":{"role":"app",` + json + `}}`:                                                                                   {who: email},
		`{"gcp":{"role":"other",` + json + `}}`:                                                                                 {err: "strongkeep read auth/gcp/role/other"},
		`{"gcp":{"role":"app","secretRef":{"secretAccessKeySecretRef":{"name":"key","key":"id"}}}}`:                             {err: "holds no JSON key"},
		`{"gcp":{"role":"app","projectID":"my-project","workloadIdentity":{"serviceAccountRef":{"name":"shop"},` + gke + `}}}`:  {who: email},
		`{"gcp":{"role":"app","projectID":"my-project","workloadIdentity":{"serviceAccountRef":{"name":"other"},` + gke + `}}}`: {err: "taking the place of " + email},
		`{"gcp":{"role":"app","serviceAccountRef":{"name":"shop"}}}`:                                                            {err: "set auth.workloadIdentity.clusterProjectID"},
		`{"gcp":{"role":"app"}}`:                                {err: "set auth.gcp.workloadIdentity (or secretRef)"},
		`{"gcp":{"role":"app","projectID":"a/b",` + json + `}}`: {err: "auth.gcp: projectID"},
	} {
		c.who = ""
		err := c.read(auth)
		switch {
		case want.err == "" && (err != nil || c.who != want.who || want.url != "" && c.url != want.url):
			t.Errorf("%s: %v, as %q, asking %q", auth, err, c.who, c.url)
		case want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err) || errs.Is(err, errs.NotExist)):
			t.Errorf("%s: %v, want %q", auth, err, want.err)
		}
	}
}

// The operator's own identity in a cloud is for those who may have it.
func TestCloudOwnIdentity(t *testing.T) {
	const iam, gcp = `{"iam":{"vaultAwsIamServerID":"vault.example","vaultRole":"app"}}`, `{"gcp":{"role":"app"}}`
	c := newClouds(t)
	c.store = &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	c.env["AWS_ACCESS_KEY_ID"], c.env["AWS_SECRET_ACCESS_KEY"] = awstest.KeyID, awstest.KeySecret
	if err := c.read(gcp); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "no identity of its own at Google") {
		t.Errorf("without a metadata server: %v", err)
	}
	c.google.Metadata()
	admitted := func(auth, who string) {
		t.Helper()
		if err := c.read(auth); err != nil || c.who != who {
			t.Errorf("%s: %v, as %q, want %q", auth, err, c.who, who)
		}
	}
	admitted(iam, "user/example")
	admitted(gcp, "machine")
	c.env["GOOGLE_APPLICATION_CREDENTIALS"] = filepath.Join(t.TempDir(), "key.json")
	check(t, os.WriteFile(c.env["GOOGLE_APPLICATION_CREDENTIALS"], []byte(c.cluster.Data["json"]), 0o600))
	admitted(gcp, email)
	check(t, os.WriteFile(c.env["GOOGLE_APPLICATION_CREDENTIALS"], []byte(`{"type":"external_account"}`), 0o600))
	if err := c.read(gcp); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a file that cannot sign: %v", err)
	}
	c.ambient = provider.AmbientNone
	for _, auth := range []string{iam, gcp} {
		if err := c.read(auth); !errs.Is(err, errs.Denied) {
			t.Errorf("%s of nobody: %v", auth, err)
		}
	}
	// The cluster is told by the metadata server: a ServiceAccount's name is enough.
	c.ambient, c.store = provider.AmbientNone, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}}
	admitted(`{"gcp":{"role":"app","serviceAccountRef":{"name":"shop"}}}`, email)
	c.cluster.Annotations = nil
	if err := c.read(`{"gcp":{"role":"app","serviceAccountRef":{"name":"shop"}}}`); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "iam.gke.io/gcp-service-account") {
		t.Errorf("a ServiceAccount that stands for nobody: %v", err)
	}
}
