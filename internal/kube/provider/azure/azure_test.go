package azure_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	reader = "aaaaaaaa-0000-0000-0000-000000000001" // an application, by its ServiceAccount
	robot  = "aaaaaaaa-0000-0000-0000-000000000002" // by a secret
	client = "azure.workload.identity/client-id"
	tenant = "azure.workload.identity/tenant-id"
)

// world has a server of its own.
type world struct {
	*providertest.World
	server  *azuretest.Server
	getenv  func(string) string
	ambient provider.Ambient
}

func newWorld(t *testing.T) *world {
	s := azuretest.New(t)
	s.App(reader, azuretest.App{Subject: "system:serviceaccount:team:reader"})
	s.App(robot, azuretest.App{Secret: "canary-client-secret"})
	w := &world{server: s, getenv: s.Getenv, World: providertest.NewWorld(t, &providertest.Cluster{
		Name:        "azure",
		Data:        map[string]string{"id": robot, "secret": "canary-client-secret", "tenant": azuretest.Tenant},
		Annotations: map[string]string{client: reader, tenant: azuretest.Tenant},
		Token: func(ref provider.Ref, audiences []string) string {
			return azuretest.WebToken("system:serviceaccount:"+ref.Namespace()+":"+ref.Name(), audiences)
		},
	})}
	w.Provider = func() provider.Provider { return azure.Provider{Getenv: w.getenv, Ambient: w.ambient} }
	return w
}

func settings(change func(*azure.Settings)) azure.Settings {
	s := azure.Settings{VaultURL: azuretest.VaultURL, AuthType: azure.WorkloadIdentity, ServiceAccountRef: &v1.ServiceAccountSelector{Name: "reader"}}
	if change != nil {
		change(&s)
	}
	return s
}

func key(name string) *v1.SecretKeySelector { return &v1.SecretKeySelector{Name: "azure", Key: name} }

func bySecret(s *azure.Settings) {
	s.AuthType, s.ServiceAccountRef, s.TenantID = "", nil, azuretest.Tenant
	s.AuthSecretRef = &azure.AuthSecretRef{ClientID: key("id"), ClientSecret: key("secret")}
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	for _, p := range providertest.Planted() {
		w.server.Put(providertest.Hyphens(p.Key), p.Value)
	}
	for _, p := range providertest.Searched() {
		w.server.Put(providertest.Hyphens(p.Key), p.Value)
		w.server.Tag("secrets/"+providertest.Hyphens(p.Key), p.Tags)
	}
	h := providertest.Harness{Provider: azure.Provider{Getenv: w.getenv}, Cluster: w.Cluster, Settings: settings(nil), Key: providertest.Hyphens, Literal: true}
	providertest.Run(t, h)
	providertest.RunFinder(t, h, providertest.Search{
		Path:       func(folder string) string { return providertest.Hyphens(folder) + "-" },
		SecondPage: func() func() { w.server.LosePages(); return w.server.Mend },
	})
	fault := func(f azuretest.Fault) func() func() {
		return func() func() { w.server.Fail("", f); return w.server.Mend }
	}
	providertest.RunFaults(t, h, providertest.Faults{
		Garbage: func(body string) func() { return fault(azuretest.Fault{Status: http.StatusOK, Body: body})() },
		Bodies: []string{
			`{"value":null,"id":"` + azuretest.VaultURL + `/secrets/app-config/1"}`, `{"value":"canary","id":"` + azuretest.VaultURL + `/secrets/other/1"}`,
			`{"value":"canary"}`, `{"value":[{}],"nextLink":"https://evil.example/secrets"}`, `{"value":[{"id":"` + azuretest.VaultURL + `/secrets/x"}],"nextLink":"https://evil.example/secrets"}`,
		},
		Throttle: fault(azuretest.Fault{Status: http.StatusTooManyRequests, Code: "Throttled"}),
		Outage:   fault(azuretest.Fault{Status: http.StatusInternalServerError, Code: "InternalError"}),
		Refuse:   fault(azuretest.Fault{Status: http.StatusForbidden, Code: "Forbidden", Inner: "ForbiddenByRbac"}),
		Expire:   w.server.EndTokens,
	})
}

func TestWriter(t *testing.T) {
	w := newWorld(t)
	outage := func(n int) func() { w.server.FailAfter(n); return w.server.Mend }
	h := providertest.Harness{Provider: azure.Provider{Getenv: w.getenv}, Cluster: w.Cluster, Settings: settings(nil)}
	providertest.RunWriter(t, h, providertest.Writing{
		Versions: func(key string) int { s, _ := w.server.Secret(key); return s.Versions },
		Put:      func(key, value string) { w.server.Put(key, value) },
		Lossy:    true, // a version says not which one it replaced, and there are no conditions
		Outage:   func() func() { return outage(0) }, OutageAfter: outage,
	})
}

// facts §2.2: secrets, keys and certificates by prefix; tags are metadata; a secret
// that is disabled is neither there nor gone.
func TestRead(t *testing.T) {
	w := newWorld(t)
	first := w.server.Put("db", "one")
	second := w.server.Put("db", "two")
	end := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	w.server.Expire("db", end)
	w.server.Tag("secrets/db", map[string]string{"team": "a", "dotted.tag": "b"})
	w.server.PutKey("sign", map[string]any{"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAC"})
	w.server.Put("cert", "canary private key")
	w.server.PutCertificate("cert", []byte{0x30, 0x00, 0xff})
	w.server.Put("off", "canary")
	w.server.Disable("off")
	st := w.Open(settings(nil))
	if v := w.Read(st, provider.Request{Key: "db"}, "two"); v.Version != second || !v.Expires.Equal(end) {
		t.Errorf("%+v", v)
	}
	w.Read(st, provider.Request{Key: "secret/db"}, "two")
	w.Read(st, provider.Request{Key: "db", Version: first}, "one")
	w.Read(st, provider.Request{Key: "cert/cert"}, "\x30\x00\xff")
	v, err := st.Read(t.Context(), provider.Request{Key: "key/sign"})
	if crv, err2 := v.Property("crv"); err != nil || err2 != nil || crv.RevealString() != "P-256" || v.Version == "" {
		t.Errorf("%s (%v, %v)", v.Data.Reveal(), err, err2)
	}
	v = w.Read(st, provider.Request{Key: "db", Metadata: true}, `{"dotted.tag":"b","team":"a"}`)
	if got, err := v.Property("dotted.tag"); err != nil || got.RevealString() != "b" {
		t.Error(err)
	}
	for _, key := range []string{"none", "key/none", "cert/none"} {
		w.Cannot(st, provider.Request{Key: key}, errs.NotExist, key, "does not exist")
	}
	w.Cannot(st, provider.Request{Key: "db", Version: "4711"}, errs.NotExist, "4711")
	w.Cannot(st, provider.Request{Key: "off"}, errs.Invalid, "SecretDisabled", "enable it")
	w.Cannot(st, provider.Request{}, errs.Invalid, "key is missing")
	for _, key := range []string{"a/b", "key/a/b", "secret/", "a_b", "../x", "a?b", strings.Repeat("x", 128)} {
		w.Cannot(st, provider.Request{Key: key}, errs.Invalid)
	}
	w.Cannot(st, provider.Request{Key: "db", Version: "../x"}, errs.Invalid, "version")
	found, err := st.(provider.Finder).Find(t.Context(), provider.Query{})
	if err != nil || len(found) != 2 {
		t.Errorf("%v (%v): what is disabled is not found", found, err)
	}
}

func TestKinds(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	st := w.Open(settings(nil))
	for name, c := range map[string]struct {
		fault azuretest.Fault
		want  errs.Kind
		words string
	}{
		"throttled":       {azuretest.Fault{Status: 429, Code: "Throttled"}, errs.Exhausted, "Throttled"},
		"throttled plain": {azuretest.Fault{Status: 429, Body: "canary"}, errs.Exhausted, "429"},
		"firewall":        {azuretest.Fault{Status: 403, Code: "Forbidden", Inner: "ForbiddenByFirewall"}, errs.Denied, "ForbiddenByFirewall"},
		"no such vault":   {azuretest.Fault{Status: 404, Code: "VaultNotFound"}, errs.Unavailable, "VaultNotFound"},
		"no such page":    {azuretest.Fault{Status: 404, Body: "<html>canary</html>"}, errs.Unavailable, "404"},
		"bad code":        {azuretest.Fault{Status: 404, Code: "a canary"}, errs.Unavailable, ""},
		"bad request":     {azuretest.Fault{Status: 400, Code: "BadParameter"}, errs.Invalid, "BadParameter"},
		"away":            {azuretest.Fault{Status: 503, Code: "ServiceUnavailable"}, errs.Unavailable, ""},
		"broken":          {azuretest.Fault{Status: 500, Code: "SecretNotFound"}, errs.Unavailable, ""},
		"huge":            {azuretest.Fault{Status: 200, Body: strings.Repeat("x", 5<<20)}, errs.TooLarge, "4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w.server.Fail("GET secrets", c.fault)
			_, err := st.Read(t.Context(), provider.Request{Key: "a"})
			providertest.Refused(t, err, c.want, c.words)
		})
	}
	w.server.Mend()
	w.server.Fail("GET secrets", azuretest.Fault{Status: 403, Code: "Forbidden", Inner: "ForbiddenByRbac"})
	w.Refused(st.Check(t.Context()), errs.Unsupported, "ForbiddenByRbac")
	w.server.Mend()
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.server.Close()
	w.Cannot(st, provider.Request{Key: "a"}, errs.Unavailable)
}

// A call that fails is made again, as often as the store says; one that is throttled is not.
func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	two := 2
	for name, c := range map[string]struct {
		retry  provider.Retry
		status int
		want   int
	}{
		"default":   {provider.Retry{Wait: time.Millisecond}, 503, 3},
		"as set":    {provider.Retry{Max: &two, Wait: time.Millisecond}, 503, 3},
		"without":   {provider.Retry{Max: new(int)}, 503, 1},
		"throttled": {provider.Retry{Wait: time.Millisecond}, 429, 1},
	} {
		w.Retry = c.retry
		st := w.Open(settings(nil))
		w.Read(st, provider.Request{Key: "a"}, "x")
		before := w.server.Count("GET secrets")
		w.server.Fail("GET secrets", azuretest.Fault{Status: c.status, Code: "X"})
		if _, err := st.Read(t.Context(), provider.Request{Key: "a"}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := w.server.Count("GET secrets") - before; n != c.want {
			t.Errorf("%s: %d calls, want %d", name, n, c.want)
		}
		w.server.Mend()
	}
}

// One login serves a store, for secrets, keys and certificates, until two thirds of its
// life are over; what the vault refuses leads to one new login, not to one for each read.
func TestOneLogin(t *testing.T) {
	w := newWorld(t)
	fake := testclock.NewFakeClock(time.Now())
	w.Clock = fake
	w.server.Put("a", "x")
	w.server.PutCertificate("a", []byte("y"))
	st := w.Open(settings(nil))
	logins := func(want int) {
		t.Helper()
		w.Read(st, provider.Request{Key: "a"}, "x")
		w.Read(st, provider.Request{Key: "cert/a"}, "y")
		if n := w.server.Count("token"); n != want {
			t.Errorf("%d logins, want %d", n, want)
		}
	}
	logins(1)
	logins(1)
	if !slices.Equal(w.Cluster.Audiences(), []string{"api://AzureADTokenExchange"}) || !slices.Equal(w.server.Callers(), []string{reader}) {
		t.Errorf("audiences %q, callers %q", w.Cluster.Audiences(), w.server.Callers())
	}
	w.server.EndTokens()
	logins(2)
	w.server.EndTokens()
	for range 3 {
		w.Cannot(st, provider.Request{Key: "a"}, errs.Unauthenticated, "Unauthorized")
	}
	if n := w.server.Count("token"); n != 2 {
		t.Errorf("%d logins at once", n)
	}
	fake.Step(11 * time.Second)
	logins(3)
}

func TestWorkloadIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	name := func(name string) provider.Store {
		return w.Open(settings(func(s *azure.Settings) { s.ServiceAccountRef.Name = name }))
	}
	w.Cannot(name("stranger"), provider.Request{Key: "a"}, errs.Unauthenticated, "AADSTS7000215", "federated credential", reader)
	w.Cannot(name("absent"), provider.Request{Key: "a"}, errs.Unavailable, "does not exist")
	w.Cluster.Annotations = map[string]string{client: reader}
	w.Cannot(name("reader"), provider.Request{Key: "a"}, errs.Invalid, tenant)
	w.Read(w.Open(settings(func(s *azure.Settings) { s.TenantID = azuretest.Tenant })), provider.Request{Key: "a"}, "x")
	w.Cannot(w.Open(settings(func(s *azure.Settings) {
		s.TenantID, s.AuthSecretRef = azuretest.Tenant, &azure.AuthSecretRef{ClientID: key("id")}
	})), provider.Request{Key: "a"}, errs.Invalid, "keep one")
	w.Cluster.Annotations = nil
	w.Cannot(name("reader"), provider.Request{Key: "a"}, errs.Invalid, client)
	w.Cluster.Data["id"] = reader
	w.Read(w.Open(settings(func(s *azure.Settings) {
		s.AuthSecretRef = &azure.AuthSecretRef{ClientID: key("id"), TenantID: key("tenant")}
	})), provider.Request{Key: "a"}, "x")
}

func TestServicePrincipal(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	st := w.Open(settings(bySecret))
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.Cluster.Data["secret"] = "canary-wrong"
	w.Cannot(w.Open(settings(bySecret)), provider.Request{Key: "a"}, errs.Unauthenticated, "invalid_client (AADSTS7000215)", robot)
	for _, f := range []struct {
		azuretest.Fault
		want errs.Kind
	}{
		{azuretest.Fault{Status: 200, Body: "<html>canary</html>"}, errs.Unavailable}, {azuretest.Fault{Status: 200, Body: "{}"}, errs.Unavailable},
		{azuretest.Fault{Status: 500, Body: "canary"}, errs.Unavailable}, {azuretest.Fault{Status: 404, Body: "canary"}, errs.Unavailable},
		{azuretest.Fault{Status: 429, Body: `{"error":"canary"}`}, errs.Exhausted},
	} {
		w.server.Fail("token", f.Fault)
		w.Cannot(w.Open(settings(bySecret)), provider.Request{Key: "a"}, f.want)
	}
	w.server.Mend()

	const byCert = "aaaaaaaa-0000-0000-0000-000000000003"
	w.server.App(byCert, azuretest.App{Certificate: true})
	w.Cluster.Data["id"], w.Cluster.Data["cert"] = byCert, certificate(t)
	cert := settings(func(s *azure.Settings) {
		bySecret(s)
		s.AuthSecretRef.ClientSecret, s.AuthSecretRef.ClientCertificate = nil, key("cert")
	})
	w.Read(w.Open(cert), provider.Request{Key: "a"}, "x")
	w.Cluster.Data["cert"] = "canary"
	w.Cannot(w.Open(cert), provider.Request{Key: "a"}, errs.Unauthenticated, "no certificate with its key")
}

// certificate returns a certificate with its key, as PEM.
func certificate(t *testing.T) string {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// The operator's own identity is its pod's workload identity or the node's; only a
// ClusterSecretStore has it, unless the operator is told otherwise.
func TestOwnIdentity(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	node := settings(func(s *azure.Settings) { s.AuthType, s.ServiceAccountRef = azure.ManagedIdentity, nil })
	pod := settings(func(s *azure.Settings) { s.ServiceAccountRef = nil })
	for _, s := range []azure.Settings{node, pod} {
		_, err := w.TryOpen(s)
		w.Refused(err, errs.Denied, "--ambient-credentials")
	}
	w.Everywhere()
	w.Cannot(w.Open(node), provider.Request{Key: "a"}, errs.Unauthenticated, "invalid_request", "assign one")
	w.server.Managed("the-node")
	w.Read(w.Open(node), provider.Request{Key: "a"}, "x")
	node.IdentityID = "another"
	w.Cannot(w.Open(node), provider.Request{Key: "a"}, errs.Unauthenticated)
	node.IdentityID = "the-node"
	w.Read(w.Open(node), provider.Request{Key: "a"}, "x")
	w.Cannot(w.Open(pod), provider.Request{Key: "a"}, errs.Unauthenticated, "AZURE_FEDERATED_TOKEN_FILE")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(azuretest.WebToken("system:serviceaccount:team:reader", []string{"api://AzureADTokenExchange"})), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AZURE_CLIENT_ID": reader, "AZURE_TENANT_ID": azuretest.Tenant, "AZURE_FEDERATED_TOKEN_FILE": file}
	w.getenv = func(name string) string {
		if v, ok := env[name]; ok {
			return v
		}
		return w.server.Getenv(name)
	}
	w.Read(w.Open(pod), provider.Request{Key: "a"}, "x")
	env["AZURE_FEDERATED_TOKEN_FILE"] = file + "x"
	w.Cannot(w.Open(pod), provider.Request{Key: "a"}, errs.Unavailable, "reading the operator's own token")
}

func TestBadSettings(t *testing.T) {
	w := newWorld(t)
	other := "other"
	for name, c := range map[string]struct {
		change func(*azure.Settings)
		kind   errs.Kind
		words  string
	}{
		"elsewhere": {func(s *azure.Settings) { s.VaultURL = "https://evil.example" }, errs.Invalid, "vaultUrl"},
		"suffix":    {func(s *azure.Settings) { s.VaultURL = "https://evil.example/.vault.azure.net" }, errs.Invalid, "vaultUrl"},
		"user":      {func(s *azure.Settings) { s.VaultURL = "https://a@shop.vault.azure.net" }, errs.Invalid, "vaultUrl"},
		"port":      {func(s *azure.Settings) { s.VaultURL = "https://shop.vault.azure.net:8443" }, errs.Invalid, "vaultUrl"},
		"plain":     {func(s *azure.Settings) { s.VaultURL = "http://shop.vault.azure.net" }, errs.Invalid, "vaultUrl"},
		"cloud":     {func(s *azure.Settings) { s.EnvironmentType = "ChinaCloud" }, errs.Invalid, "vault.azure.cn"},
		"no cloud":  {func(s *azure.Settings) { s.EnvironmentType = "Moon" }, errs.Invalid, "environmentType"},
		"stack":     {func(s *azure.Settings) { s.EnvironmentType = "AzureStackCloud" }, errs.Unsupported, "not supported"},
		"custom": {func(s *azure.Settings) {
			s.CustomCloudConfig = json.RawMessage(`{"activeDirectoryEndpoint":"https://evil.example"}`)
		}, errs.Unsupported, "customCloudConfig"},
		"type":       {func(s *azure.Settings) { s.AuthType = "Password" }, errs.Invalid, "authType"},
		"tenant":     {func(s *azure.Settings) { s.TenantID = "a/b" }, errs.Invalid, "tenantId"},
		"no client":  {func(s *azure.Settings) { bySecret(s); s.AuthSecretRef.ClientID = nil }, errs.Invalid, "clientId"},
		"no secret":  {func(s *azure.Settings) { bySecret(s); s.AuthSecretRef.ClientSecret = nil }, errs.Invalid, "one of clientSecret"},
		"both":       {func(s *azure.Settings) { bySecret(s); s.AuthSecretRef.ClientCertificate = key("cert") }, errs.Invalid, "one of clientSecret"},
		"no tenant":  {func(s *azure.Settings) { bySecret(s); s.TenantID = "" }, errs.Invalid, "tenantId is missing"},
		"key":        {func(s *azure.Settings) { bySecret(s); s.AuthSecretRef.ClientID.Key = "" }, errs.Invalid, "key is missing"},
		"no account": {func(s *azure.Settings) { s.ServiceAccountRef, s.AuthSecretRef = nil, &azure.AuthSecretRef{} }, errs.Invalid, "serviceAccountRef"},
		"another's":  {func(s *azure.Settings) { bySecret(s); s.AuthSecretRef.ClientSecret.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
		// GHSA-fq7h-9x26-6j22/CVE-2026-42876 is of this shape.
		"another's account": {func(s *azure.Settings) { s.ServiceAccountRef.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.TryOpen(settings(c.change))
			providertest.Refused(t, err, c.kind, c.words, "spec.provider.azurekv")
		})
	}
	w.Open(settings(func(s *azure.Settings) {
		yes := true
		s.UseAzureSDK, s.VaultURL = &yes, "https://Shop.vault.azure.net/"
	}))
	for _, name := range []string{"AZURE_KEYVAULT_ENDPOINT", "AZURE_TOKEN_ENDPOINT"} {
		for _, endpoint := range []string{"http://elsewhere.example", "127.0.0.1:80"} {
			w.getenv = func(n string) string { return map[string]string{name: endpoint}[n] }
			_, err := w.TryOpen(settings(nil))
			w.Refused(err, errs.Invalid, name)
		}
	}
}

// A vault whose challenge is none, or is for something else, gets no token.
func TestHostileChallenges(t *testing.T) {
	for _, challenge := range []string{
		"", "Bearer", `Bearer authorization="x", resource="https://vault.azure.net"`, `Bearer authorization="", resource="https://vault.azure.net"`,
		`Bearer authorization="https://login.microsoftonline.com/t", resource="https://management.azure.com"`,
		`Bearer authorization="https://login.microsoftonline.com/t", resource="https://azure.net"`,
	} {
		w := newWorld(t)
		w.server.Challenge(challenge)
		_, err := w.Open(settings(nil)).Read(t.Context(), provider.Request{Key: "a"})
		if !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Unauthenticated) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v (%v)", challenge, err, errs.KindOf(err))
		}
		if n := w.server.Count("token"); n != 0 {
			t.Errorf("%q: %d logins", challenge, n)
		}
	}
}

func write(w *world, st provider.Store, key, property, value, spec string) error {
	m := json.RawMessage(nil)
	if spec != "" {
		m = json.RawMessage(`{"apiVersion":"kubernetes.external-secrets.io/v1alpha1","kind":"PushSecretMetadata","spec":` + spec + `}`)
	}
	return st.(provider.Writer).Write(w.Context(), provider.Write{Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(value), Metadata: m})
}

// facts §1.4, metadata of a PushSecret: the fields of the original.
func TestWriteMetadata(t *testing.T) {
	w := newWorld(t)
	st := w.Open(settings(nil))
	for _, spec := range []string{`{"tags":{"team":"a"},"expirationDate":"2030-01-02T03:04:05Z","contentType":"text/plain"}`, `{"tags":{"unit":"b"}}`, ""} {
		if err := write(w, st, "secret/a", "", "1", spec); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := w.server.Secret("a")
	if s.Tags["managed-by"] != "external-secrets" || s.Tags["team"] != "a" || s.Tags["unit"] != "b" || s.Content != "text/plain" || s.Versions != 2 ||
		!s.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", s)
	}
	for spec, words := range map[string]string{`{"tags":{"managed-by":"me"}}`: "operator's own", `{"expirationDate":"tomorrow"}`: "expirationDate"} {
		w.Refused(write(w, st, "b", "", "canary", spec), errs.Invalid, words)
	}
	w.Refused(write(w, st, "key/a", "", "canary", ""), errs.Unsupported, "only secrets")
	w.Refused(write(w, st, "b", "", "canary\xff", ""), errs.Invalid, "base64")
	w.Refused(write(w, st, "b", "", strings.Repeat("canary", 5000), ""), errs.TooLarge, "25000")
}

// What was deleted and can be recovered is, when it is pushed again; if it was ours.
func TestWriteOverWhatWasDeleted(t *testing.T) {
	w := newWorld(t)
	st := w.Open(settings(nil))
	w.server.Put("theirs", "x")
	w.server.Delete("theirs")
	w.Refused(write(w, st, "theirs", "", "canary", ""), errs.Conflict, "was not written by an operator")
	if err := write(w, st, "ours", "", "1", ""); err != nil {
		t.Fatal(err)
	}
	w.server.Delete("ours")
	if err := write(w, st, "ours", "", "2", ""); err != nil {
		t.Fatal(err)
	}
	if s, ok := w.server.Secret("ours"); !ok || s.Value != "2" || s.Versions != 2 {
		t.Errorf("%+v %v", s, ok)
	}
}
