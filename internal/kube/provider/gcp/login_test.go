package gcp_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
)

func (w *world) calledBy(want ...string) {
	w.Helper()
	if got := w.server.Callers(); !slices.Equal(got, want) {
		w.Errorf("called by %q, want %q", got, want)
	}
}

// One login serves a store until two thirds of its life are over, and is then
// replaced; when that fails, it serves until its end.
func TestOneLogin(t *testing.T) {
	w := newWorld(t)
	clock := advance(w)
	w.server.Put("a", "x")
	st := w.Open(settings(nil))
	logins := func(want int) {
		t.Helper()
		w.Read(st, provider.Request{Key: "a"}, "x")
		if n := w.server.Count("token"); n != want {
			t.Errorf("%d requests for tokens, want %d", n, want)
		}
	}
	for range 3 {
		logins(2) // the exchange, and the service account's
	}
	clock.Step(39 * time.Minute)
	logins(2)
	clock.Step(2 * time.Minute)
	logins(4)
	w.server.Fail("token", gcptest.Fault{Status: http.StatusServiceUnavailable, Body: "canary"})
	clock.Step(41 * time.Minute)
	logins(5)
	logins(5) // not at each read
	clock.Step(11 * time.Second)
	logins(6)
	clock.Step(20 * time.Minute)
	w.Cannot(st, provider.Request{Key: "a"}, errs.Unavailable, "status 503")
	w.server.Mend()
	w.Read(st, provider.Request{Key: "a"}, "x")
}

// What Google does not accept leads to one new login, and not to one for each read.
func TestRefusedLogins(t *testing.T) {
	w := newWorld(t)
	clock := advance(w)
	w.server.Put("a", "x")
	st := w.Open(settings(nil))
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.server.EndTokens()
	w.Read(st, provider.Request{Key: "a"}, "x")
	before := w.server.Count("token")
	w.server.EndTokens()
	for range 3 {
		w.Cannot(st, provider.Request{Key: "a"}, errs.Unauthenticated, "Unauthenticated")
	}
	if n := w.server.Count("token") - before; n != 0 {
		t.Errorf("%d new logins at once", n)
	}
	clock.Step(11 * time.Second)
	w.Read(st, provider.Request{Key: "a"}, "x")
}

// facts §2.2, auth.workloadIdentity: the token is for the cluster's pool; with the
// annotation it is exchanged for the service account's; what the settings leave out
// the node tells.
func TestWorkloadIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	more := settings(func(s *gcp.Settings) { s.Auth.WorkloadIdentity.ServiceAccountRef.Audiences = []string{"more"} })
	w.Read(w.Open(more), provider.Request{Key: "a"}, "x")
	if !slices.Equal(w.Cluster.Audiences(), []string{"my-project.svc.id.goog", "more"}) {
		t.Errorf("audiences %q", w.Cluster.Audiences())
	}
	w.calledBy(reader)
	w.Cannot(w.Open(settings(func(s *gcp.Settings) { s.Auth = byWorkload("stranger") })), provider.Request{Key: "a"},
		errs.Unauthenticated, "taking the place of "+reader, "PERMISSION_DENIED", "workloadIdentityUser")
	w.Cannot(w.Open(settings(func(s *gcp.Settings) { s.Auth.WorkloadIdentity.ClusterName = "other" })), provider.Request{Key: "a"},
		errs.Unauthenticated, "invalid_target", "must name this GKE cluster")
	w.Cannot(w.Open(settings(func(s *gcp.Settings) { s.Auth = byWorkload("absent") })), provider.Request{Key: "a"}, errs.Unavailable, "does not exist")
	for _, bad := range []string{"x@y/../z", "x y@z", "nobody", "a@b:generateAccessToken?"} {
		w.Cluster.Annotations = map[string]string{"iam.gke.io/gcp-service-account": bad}
		w.Cannot(w.Open(settings(nil)), provider.Request{Key: "a"}, errs.Invalid, "no service account")
	}
	w.Cluster.Annotations = nil
	w.Read(w.Open(settings(nil)), provider.Request{Key: "a"}, "x")
	w.calledBy(reader, subject)

	bare := settings(func(s *gcp.Settings) {
		s.ProjectID = ""
		s.Auth.WorkloadIdentity = &gcp.WorkloadIdentity{ServiceAccountRef: v1.ServiceAccountSelector{Name: "reader"}}
	})
	w.Cannot(w.Open(bare), provider.Request{Key: "a"}, errs.Unavailable, "set spec.provider.gcpsm.projectID")
	w.server.Metadata()
	w.Read(w.Open(bare), provider.Request{Key: "a"}, "x")
}

// What answers a login with garbage, or not, is away: it says nothing of secrets.
func TestBrokenLogins(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	w.Cluster.Data["key"] = w.server.Key(t, reader)
	for name, auth := range map[string]gcp.Auth{"workload": byWorkload("reader"), "key": byKey(), "federation": federated()} {
		for _, f := range []struct {
			gcptest.Fault
			want errs.Kind
		}{
			{gcptest.Fault{Status: 200, Body: "<html>canary</html>"}, errs.Unavailable},
			{gcptest.Fault{Status: 200, Body: "{}"}, errs.Unavailable},
			{gcptest.Fault{Status: 200, Body: ""}, errs.Unavailable},
			{gcptest.Fault{Status: 404, Body: "canary"}, errs.Unavailable},
			{gcptest.Fault{Status: 500, Body: `{"error":"canary"}`}, errs.Unavailable},
			{gcptest.Fault{Status: 429, Body: `{"error":{"status":"RESOURCE_EXHAUSTED"}}`}, errs.Exhausted},
			{gcptest.Fault{Status: 400, Body: `{"error":"invalid_grant","error_description":"canary"}`}, errs.Unauthenticated},
			{gcptest.Fault{Status: 400, Body: `{"error":"a canary, 1"}`}, errs.Unavailable},
			{gcptest.Fault{Status: 302, Body: ""}, errs.Unavailable},
		} {
			w.server.Fail("token", f.Fault)
			st := w.Open(settings(func(s *gcp.Settings) { s.Auth = auth }))
			t.Run(name+" "+f.Body, func(t *testing.T) {
				_, err := st.Read(t.Context(), provider.Request{Key: "a"})
				providertest.Refused(t, err, f.want)
			})
		}
		w.server.Mend()
		w.Read(w.Open(settings(func(s *gcp.Settings) { s.Auth = auth })), provider.Request{Key: "a"}, "x")
	}
}

// A key is sent to Google and nowhere else, whatever is in it.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	good := w.server.Key(t, reader)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the key was sent elsewhere") }))
	t.Cleanup(elsewhere.Close)
	st := w.Open(settings(func(s *gcp.Settings) { s.Auth = byKey() }))
	for bad, c := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		"": {errs.Unauthenticated, "no JSON key"}, "canary": {errs.Unauthenticated, "no JSON key"}, `{"canary":1}`: {errs.Unauthenticated, "no JSON key"},
		`{"type":"authorized_user","refresh_token":"canary"}`:                                                {errs.Unsupported, "authorized_user"},
		`{"type":"external_account","credential_source":{"file":"/etc/passwd"}}`:                             {errs.Unsupported, "external_account"},
		strings.Replace(good, "https://oauth2.googleapis.com/token", elsewhere.URL, 1):                       {errs.Invalid, "token_uri"},
		strings.Replace(good, "https://oauth2.googleapis.com", "https://oauth2.googleapis.com.evil.test", 1): {errs.Invalid, "token_uri"},
		strings.Replace(good, `"googleapis.com"`, `"evil.test"`, 1):                                          {errs.Unsupported, "universe_domain"},
		strings.Replace(good, "BEGIN", "END", 1):                                                             {errs.Unauthenticated, "signing in as " + reader},
		strings.Replace(good, reader, "other@my-project.iam.gserviceaccount.com", 1):                         {errs.Unauthenticated, "invalid_grant"},
	} {
		w.Cluster.Set("key", bad)
		w.Cannot(st, provider.Request{Key: "a"}, c.kind, c.words)
	}
	w.Cluster.Data["key"] = good
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.calledBy(reader)
}

func federated() gcp.Auth {
	return gcp.Auth{WorkloadIdentityFederation: &gcp.WorkloadIdentityFederation{
		ServiceAccountRef: &v1.ServiceAccountSelector{Name: "reader"}, Audience: gcptest.Provider,
	}}
}

// facts §2.2, auth.workloadIdentityFederation: by a ServiceAccount, whose token is for
// the pool's provider alone, or by an access key of AWS.
func TestFederation(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	with := func(change func(*gcp.WorkloadIdentityFederation)) provider.Store {
		return w.Open(settings(func(s *gcp.Settings) {
			s.Auth = federated()
			if change != nil {
				change(s.Auth.WorkloadIdentityFederation)
			}
		}))
	}
	w.Read(with(nil), provider.Request{Key: "a"}, "x")
	if !slices.Equal(w.Cluster.Audiences(), []string{"https:" + gcptest.Provider}) {
		t.Errorf("audiences %q", w.Cluster.Audiences())
	}
	w.calledBy(reader)
	w.Cluster.Annotations = nil
	w.Read(with(nil), provider.Request{Key: "a"}, "x")
	w.calledBy(reader, subject)
	const second = "second@my-project.iam.gserviceaccount.com"
	w.server.Account(second, subject, "aws:AKIAEXAMPLE")
	w.Read(with(func(f *gcp.WorkloadIdentityFederation) { f.GCPServiceAccountEmail = second }), provider.Request{Key: "a"}, "x")
	w.calledBy(reader, second, subject)
	w.Cannot(with(func(f *gcp.WorkloadIdentityFederation) { f.GCPServiceAccountEmail = "evil/x" }), provider.Request{Key: "a"}, errs.Invalid, "no service account")
	w.Cannot(with(func(f *gcp.WorkloadIdentityFederation) { f.ServiceAccountRef.Name = "absent" }), provider.Request{Key: "a"}, errs.Unavailable, "does not exist")
	w.Cannot(with(func(f *gcp.WorkloadIdentityFederation) { f.ServiceAccountRef.Audiences = []string{"mine"} }), provider.Request{Key: "a"}, errs.Unauthenticated, "invalid_grant", gcptest.Provider)
	if !slices.Equal(w.Cluster.Audiences(), []string{"mine"}) {
		t.Errorf("audiences %q", w.Cluster.Audiences())
	}
	aws := func(f *gcp.WorkloadIdentityFederation) {
		f.ServiceAccountRef, f.AWS, f.GCPServiceAccountEmail = nil, &gcp.AWSCredentials{Region: "eu-central-1"}, second
		f.AWS.SecretRef.Name = "gcp"
	}
	w.Cannot(with(aws), provider.Request{Key: "a"}, errs.Unavailable, "aws_access_key_id")
	w.Cluster.Data["aws_access_key_id"], w.Cluster.Data["aws_secret_access_key"] = "AKIAEXAMPLE", "canary-aws"
	w.Read(with(aws), provider.Request{Key: "a"}, "x")
	w.Cluster.Data["aws_session_token"] = "wrong"
	w.Cannot(with(aws), provider.Request{Key: "a"}, errs.Unauthenticated, "invalid_grant")
}

// A document of type external_account names what the operator reads and calls. Only
// who may use the operator's own identity may give one, and even then no program is
// run, no token of the operator is sent, and nothing is called but what is said twice.
func TestCredConfig(t *testing.T) {
	w := newWorld(t)
	w.Everywhere()
	w.server.Put("a", "x")
	token := filepath.Join(t.TempDir(), "token")
	web := gcptest.WebToken("pod", []string{"https:" + gcptest.Provider})
	if err := os.WriteFile(token, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "secrets", "kubernetes.io", "serviceaccount", "token")
	if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(own, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Ask") != "please" {
			t.Error("headers are missing")
		}
		_, _ = rw.Write([]byte(`{"value":"` + web + `"}`))
	}))
	t.Cleanup(issuer.Close)
	doc := func(source string) string {
		return `{"type":"external_account","audience":"` + gcptest.Provider + `","subject_token_type":"urn:ietf:params:oauth:token-type:jwt",
			"token_url":"https://sts.googleapis.com/v1/token","credential_source":` + source + `}`
	}
	url := `{"url":"` + issuer.URL + `","headers":{"X-Ask":"please"},"format":{"type":"json","subject_token_field_name":"value"}}`
	aws := `{"environment_id":"aws1","url":"http://169.254.169.254/latest/meta-data/iam/security-credentials","regional_cred_verification_url":"https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}`
	open := func(text, endpoint string) provider.Store {
		w.Cluster.Data = map[string]string{"doc": text}
		return w.Open(settings(func(s *gcp.Settings) {
			s.Auth = gcp.Auth{WorkloadIdentityFederation: &gcp.WorkloadIdentityFederation{
				CredConfig: &gcp.ConfigMapReference{Name: "gcp", Key: "doc", Namespace: "team"}, ExternalTokenEndpoint: endpoint,
			}}
		}))
	}
	w.Read(open(doc(`{"file":"`+token+`"}`), ""), provider.Request{Key: "a"}, "x")
	w.Read(open(doc(url), issuer.URL), provider.Request{Key: "a"}, "x")
	w.calledBy("pod")
	for name, c := range map[string]struct {
		text  string
		kind  errs.Kind
		words string
	}{
		"text":        {"canary", errs.Invalid, "no JSON document"},
		"key":         {`{"type":"service_account","private_key":"canary"}`, errs.Invalid, "must be external_account"},
		"program":     {doc(`{"executable":{"command":"/bin/canary"}}`), errs.Unsupported, "no program is run"},
		"certificate": {doc(`{"certificate":{}}`), errs.Unsupported, "certificate"},
		"own token":   {doc(`{"file":"` + own + `"}`), errs.Denied, "operator's own token"},
		"by a link":   {doc(`{"file":"` + link + `"}`), errs.Denied, "operator's own token"},
		"no file":     {doc(`{"file":"` + token + `x"}`), errs.Unauthenticated, "exchanging"},
		"address":     {doc(url), errs.Invalid, "externalTokenEndpoint"},
		"nothing":     {doc(`{}`), errs.Invalid, "credential_source"},
		"audience":    {strings.Replace(doc(url), gcptest.Provider, "", 1), errs.Invalid, "no audience"},
		"token_url":   {strings.Replace(doc(url), "https://sts.googleapis.com", issuer.URL, 1), errs.Invalid, "token_url"},
		"impersonation": {strings.Replace(doc(url), `"type"`, `"service_account_impersonation_url":"`+issuer.URL+`","type"`, 1),
			errs.Invalid, "service_account_impersonation_url"},
		"universe":   {strings.Replace(doc(url), `"type"`, `"universe_domain":"evil.test","type"`, 1), errs.Unsupported, "universe_domain"},
		"aws server": {doc(strings.Replace(aws, "169.254.169.254", "evil.test", 1)), errs.Invalid, "AWS's metadata"},
		"aws verify": {doc(strings.Replace(aws, "amazonaws.com", "evil.test", 1)), errs.Invalid, "not one of AWS"},
		"not aws":    {doc(strings.Replace(aws, "aws1", "gcp1", 1)), errs.Invalid, "not one of AWS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(c.text, "").Read(t.Context(), provider.Request{Key: "a"})
			providertest.Refused(t, err, c.kind, c.words)
		})
	}
}

// The operator's own identity is a file that its environment names, or the node's; only
// a ClusterSecretStore has it, unless the operator is told otherwise.
func TestOwnIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, []byte(w.server.Key(t, reader)), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	w.getenv = func(name string) string {
		if v, ok := env[name]; ok {
			return v
		}
		return w.server.Getenv(name)
	}
	own := settings(func(s *gcp.Settings) { s.Auth = gcp.Auth{} })
	_, err := w.TryOpen(own)
	w.Refused(err, errs.Denied, "auth.workloadIdentity")
	w.ambient = provider.AmbientAll
	if _, err := w.TryOpen(own); err != nil {
		t.Error(err)
	}
	w.ambient = ""
	w.Everywhere()
	w.Cannot(w.Open(own), provider.Request{Key: "a"}, errs.Unavailable, "no identity of its own")
	w.server.Metadata()
	w.Read(w.Open(own), provider.Request{Key: "a"}, "x")
	w.calledBy("operator")
	env["GOOGLE_APPLICATION_CREDENTIALS"] = file
	w.Read(w.Open(own), provider.Request{Key: "a"}, "x")
	w.calledBy("operator", reader)
	env["GOOGLE_APPLICATION_CREDENTIALS"] = file + "x"
	w.Cannot(w.Open(own), provider.Request{Key: "a"}, errs.Unavailable, "reading the operator's own credentials")
	if err := os.WriteFile(file, []byte(`canary`), 0o600); err != nil {
		t.Fatal(err)
	}
	env["GOOGLE_APPLICATION_CREDENTIALS"] = file
	w.Cannot(w.Open(own), provider.Request{Key: "a"}, errs.Unauthenticated, "no JSON")
	w.server.Close()
	env = map[string]string{}
	w.Cannot(w.Open(own), provider.Request{Key: "a"}, errs.Unavailable, "no identity of its own")
}
