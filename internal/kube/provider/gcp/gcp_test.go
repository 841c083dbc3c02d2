package gcp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	testclock "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	reader  = "reader@my-project.iam.gserviceaccount.com"
	subject = "system:serviceaccount:team:reader"
)

func byKey() gcp.Auth {
	return gcp.Auth{SecretRef: &gcp.SecretRef{SecretAccessKey: v1.SecretKeySelector{Name: "gcp", Key: "key"}}}
}

func byWorkload(name string) gcp.Auth {
	return gcp.Auth{WorkloadIdentity: &gcp.WorkloadIdentity{
		ServiceAccountRef: v1.ServiceAccountSelector{Name: name},
		ClusterProjectID:  gcptest.Project, ClusterLocation: "europe-west3", ClusterName: "main",
	}}
}

// world has a server of its own.
type world struct {
	*providertest.World
	server  *gcptest.Server
	getenv  func(string) string
	ambient provider.Ambient
}

func newWorld(t *testing.T) *world {
	s := gcptest.New(t)
	s.Account(reader, subject)
	w := &world{server: s, getenv: s.Getenv, World: providertest.NewWorld(t, &providertest.Cluster{
		Name: "gcp", Data: map[string]string{}, Annotations: map[string]string{"iam.gke.io/gcp-service-account": reader}, Token: token(gcptest.WebToken),
	})}
	w.Provider = func() provider.Provider { return gcp.Provider{Getenv: w.getenv, Ambient: w.ambient} }
	return w
}

func token(of func(subject string, audiences []string) string) func(provider.Ref, []string) string {
	return func(ref provider.Ref, audiences []string) string {
		return of("system:serviceaccount:"+ref.Namespace()+":"+ref.Name(), audiences)
	}
}

func settings(change func(*gcp.Settings)) gcp.Settings {
	s := gcp.Settings{ProjectID: gcptest.Project, Auth: byWorkload("reader")}
	if change != nil {
		change(&s)
	}
	return s
}

func wire(t *testing.T, m proto.Message) string {
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	for _, p := range providertest.Planted() {
		w.server.Put(providertest.Hyphens(p.Key), p.Value)
	}
	for _, p := range providertest.Searched() {
		w.server.Put(providertest.Hyphens(p.Key), p.Value)
		w.server.Label(providertest.Hyphens(p.Key), p.Tags)
	}
	h := providertest.Harness{Provider: gcp.Provider{Getenv: w.getenv}, Cluster: w.Cluster, Settings: settings(nil), Key: providertest.Hyphens, Literal: true}
	providertest.Run(t, h)
	providertest.RunFinder(t, h, providertest.Search{
		Path:       func(folder string) string { return providertest.Hyphens(folder) + "-" },
		SecondPage: func() func() { w.server.LosePages(); return w.server.Mend },
	})
	fault := func(f gcptest.Fault) func() func() {
		return func() func() { w.server.Fail("", f); return w.server.Mend }
	}
	name := "projects/" + gcptest.Number + "/secrets/"
	canary := &pb.SecretPayload{Data: []byte("canary")}
	damaged := &pb.SecretPayload{Data: []byte("canary"), DataCrc32C: proto.Int64(7)}
	providertest.RunFaults(t, h, providertest.Faults{
		Garbage: func(body string) func() { return fault(gcptest.Fault{Body: body})() },
		Empty:   []string{""},
		Bodies: []string{
			wire(t, &pb.AccessSecretVersionResponse{Name: name + "another/versions/1", Payload: canary}),
			wire(t, &pb.AccessSecretVersionResponse{Name: name + "app-config/versions/1"}) + "\xff",
			wire(t, &pb.AccessSecretVersionResponse{Name: name + "app-config/versions/", Payload: canary}),
			wire(t, &pb.AccessSecretVersionResponse{Name: name + "app-config/versions/1", Payload: damaged}) + "\x00",
			wire(t, &pb.ListSecretsResponse{Secrets: []*pb.Secret{{}}}),
		},
		Throttle: fault(gcptest.Fault{Code: codes.ResourceExhausted, Message: "Quota exceeded"}),
		Outage:   fault(gcptest.Fault{Code: codes.Internal, Message: "canary"}),
		Refuse:   fault(gcptest.Fault{Code: codes.PermissionDenied, Message: "Permission 'x' denied"}),
		Expire:   w.server.EndTokens,
	})
}

// facts §2.2: versions are numbers or aliases; metadata are annotations and labels,
// and a property may name either with dots; regional secrets are of their location.
func TestRead(t *testing.T) {
	w := newWorld(t)
	w.server.Put("db", "one")
	w.server.Put("db", "two")
	w.server.Alias("db", "stable", 1)
	w.server.Label("db", map[string]string{"team": "a"})
	w.server.Annotate("db", map[string]string{"owner.example": "<b>"})
	w.server.Put("raw", "\x00\x01\xff")
	w.server.PutRegional("europe-west3", "db", "regional")
	st := w.Open(settings(nil))
	if v := w.Read(st, provider.Request{Key: "db"}, "two"); v.Version != "2" || !v.Expires.IsZero() {
		t.Errorf("%+v", v)
	}
	w.Read(st, provider.Request{Key: "db", Version: "latest"}, "two")
	w.Read(st, provider.Request{Key: "db", Version: "1"}, "one")
	if v := w.Read(st, provider.Request{Key: "db", Version: "stable"}, "one"); v.Version != "1" {
		t.Errorf("version %q", v.Version)
	}
	w.Read(st, provider.Request{Key: "raw"}, "\x00\x01\xff")
	v := w.Read(st, provider.Request{Key: "db", Metadata: true}, `{"annotations":{"owner.example":"\u003cb\u003e"},"labels":{"team":"a"}}`)
	for property, want := range map[string]string{"labels.team": "a", "annotations.owner.example": "<b>", "labels": `{"team":"a"}`} {
		if got, err := v.Property(property); err != nil || got.RevealString() != want {
			t.Errorf("%s: %q (%v)", property, got.Reveal(), err)
		}
	}
	w.Read(st, provider.Request{Key: "raw", Metadata: true}, `{"annotations":{},"labels":{}}`)
	w.Cannot(st, provider.Request{Key: "none"}, errs.NotExist, `"none" does not exist`, "my-project")
	w.Cannot(st, provider.Request{Key: "db", Version: "3"}, errs.NotExist, `no version "3"`)
	w.Cannot(st, provider.Request{Key: "none", Metadata: true}, errs.NotExist, "none")
	w.Cannot(st, provider.Request{}, errs.Invalid, "key is missing")
	for _, key := range []string{"a/b", "../x", "projects/p/secrets/x", "a b", "x?y", "ä", strings.Repeat("x", 256)} {
		w.Cannot(st, provider.Request{Key: key}, errs.Invalid, "no name of a secret")
	}
	w.Cannot(st, provider.Request{Key: "db", Version: "1/../2"}, errs.Invalid, "neither a number nor an alias")

	regional := w.Open(settings(func(s *gcp.Settings) { s.Location = "europe-west3" }))
	w.Read(regional, provider.Request{Key: "db"}, "regional")
	w.Cannot(regional, provider.Request{Key: "raw"}, errs.NotExist, "europe-west3")
	if found, err := regional.(provider.Finder).Find(t.Context(), provider.Query{}); err != nil || len(found) != 1 {
		t.Errorf("%v (%v)", found, err)
	}

	// A project that is not there is no deletion of its secrets.
	other := w.Open(settings(func(s *gcp.Settings) { s.ProjectID = "other-project" }))
	w.Cannot(other, provider.Request{Key: "db"}, errs.Invalid, "Project [other-project]")
	if _, err := other.(provider.Finder).Find(t.Context(), provider.Query{}); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

// facts §2.2, secretVersionSelectionPolicy: what is disabled or destroyed is neither
// there nor gone, unless an older one may be read.
func TestVersionsThatAreOff(t *testing.T) {
	w := newWorld(t)
	for _, value := range []string{"one", "two", "three", "four"} {
		w.server.Put("db", value)
	}
	w.server.State("db", 2, pb.SecretVersion_DISABLED)
	w.server.State("db", 3, pb.SecretVersion_DESTROYED)
	w.server.State("db", 4, pb.SecretVersion_DISABLED)
	fail := w.Open(settings(func(s *gcp.Settings) { s.Policy = gcp.LatestOrFail }))
	fetch := w.Open(settings(func(s *gcp.Settings) { s.Policy = gcp.LatestOrFetch }))
	w.Cannot(fail, provider.Request{Key: "db"}, errs.Invalid, "version latest", "disabled or destroyed", "DISABLED", "LatestOrFetch")
	if v := w.Read(fetch, provider.Request{Key: "db"}, "one"); v.Version != "1" {
		t.Errorf("version %q", v.Version)
	}
	w.Cannot(fetch, provider.Request{Key: "db", Version: "3"}, errs.Invalid, "version 3", "DESTROYED")
	w.server.State("db", 1, pb.SecretVersion_DISABLED)
	w.Cannot(fetch, provider.Request{Key: "db"}, errs.Invalid, "disabled or destroyed")
	w.server.Forbid("secretmanager.versions.list")
	w.Cannot(fetch, provider.Request{Key: "db"}, errs.Denied, "secretmanager.versions.list")
}

// When a secret ends is told with its value, and asked for seldom: it counts against
// a small quota. Who may not ask reads all the same.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	fake := advance(w)
	end := fake.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	w.server.Put("db", "x")
	w.server.Expire("db", end)
	st := w.Open(settings(nil))
	for range 3 {
		if v := w.Read(st, provider.Request{Key: "db"}, "x"); !v.Expires.Equal(end) {
			t.Errorf("expires %v, want %v", v.Expires, end)
		}
	}
	if n := w.server.Count("GetSecret"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	fake.Step(61 * time.Minute)
	w.Read(st, provider.Request{Key: "db"}, "x")
	if n := w.server.Count("GetSecret"); n != 2 {
		t.Errorf("asked %d times in an hour, want twice", n)
	}
	w.server.Forbid("secretmanager.secrets.get")
	plain := w.Open(settings(nil))
	for range 3 {
		if v := w.Read(plain, provider.Request{Key: "db"}, "x"); !v.Expires.IsZero() {
			t.Errorf("expires %v", v.Expires)
		}
	}
	if n := w.server.Count("GetSecret"); n != 3 {
		t.Errorf("what is denied was asked for again: %d", n)
	}
	w.server.Mend()
	if _, err := plain.(provider.Finder).Find(t.Context(), provider.Query{}); err != nil { // a search tells it too
		t.Error(err)
	}
	if v := w.Read(plain, provider.Request{Key: "db"}, "x"); !v.Expires.Equal(end) {
		t.Errorf("expires %v after a search", v.Expires)
	}
}

func advance(w *world) *testclock.FakeClock {
	c := testclock.NewFakeClock(time.Now())
	w.Clock = c
	w.server.Clock(c.Now)
	return c
}

// Reads of one store are under way at the same time, which the original has one
// after the other (facts §2.2).
func TestReadsAreNotSerialised(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "1")
	w.server.Put("b", "2")
	st := w.Open(settings(nil))
	w.Read(st, provider.Request{Key: "a"}, "1")
	w.server.Before("AccessSecretVersion", func() { w.Read(st, provider.Request{Key: "b"}, "2") }) // while the other waits
	w.Read(st, provider.Request{Key: "a"}, "1")
}

func TestKinds(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	st := w.Open(settings(nil))
	for name, c := range map[string]struct {
		fault gcptest.Fault
		want  errs.Kind
		words string
	}{
		"quota":        {gcptest.Fault{Code: codes.ResourceExhausted, Message: "canary"}, errs.Exhausted, "ResourceExhausted"},
		"denied":       {gcptest.Fault{Code: codes.PermissionDenied, Message: "Permission 'secretmanager.versions.access' denied"}, errs.Denied, "secretmanager.versions.access"},
		"away":         {gcptest.Fault{Code: codes.Unavailable, Message: "canary"}, errs.Unavailable, "Unavailable"},
		"broken":       {gcptest.Fault{Code: codes.Internal, Message: "canary"}, errs.Unavailable, "Internal"},
		"unknown":      {gcptest.Fault{Code: codes.Unknown, Message: "canary"}, errs.Unavailable, ""},
		"new code":     {gcptest.Fault{Code: 77, Message: "canary"}, errs.Unavailable, ""},
		"bad request":  {gcptest.Fault{Code: codes.InvalidArgument, Message: "the name is wrong"}, errs.Invalid, "the name is wrong"},
		"late":         {gcptest.Fault{Code: codes.DeadlineExceeded, Message: "canary"}, errs.Unavailable, ""},
		"no such page": {gcptest.Fault{Status: http.StatusNotFound, Body: "<html>canary</html>"}, errs.Unavailable, ""},
		"a proxy":      {gcptest.Fault{Status: http.StatusOK, Body: "<html>canary</html>"}, errs.Unavailable, ""},
		"bad gateway":  {gcptest.Fault{Status: http.StatusBadGateway, Body: "<html>canary</html>"}, errs.Unavailable, ""},
		"huge":         {gcptest.Fault{Body: strings.Repeat("x", 13<<20)}, errs.TooLarge, "12 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w.server.Fail("AccessSecretVersion", c.fault)
			_, err := st.Read(t.Context(), provider.Request{Key: "a"})
			providertest.Refused(t, err, c.want, c.words)
		})
	}
	w.server.Mend()
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.server.Close()
	w.Cannot(st, provider.Request{Key: "a"}, errs.Unavailable)
}

// A call that the service is away for is made again, as often as the store says; one
// that is throttled is not, and none that would be done twice.
func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	two := 2
	for name, c := range map[string]struct {
		retry provider.Retry
		code  codes.Code
		want  int
	}{
		"default":   {provider.Retry{Wait: time.Millisecond}, codes.Unavailable, 3},
		"as set":    {provider.Retry{Max: &two, Wait: time.Millisecond}, codes.Unavailable, 3},
		"without":   {provider.Retry{Max: new(int)}, codes.Unavailable, 1},
		"throttled": {provider.Retry{}, codes.ResourceExhausted, 1},
	} {
		w.Retry = c.retry
		st := w.Open(settings(nil))
		before := w.server.Count("AccessSecretVersion")
		w.server.Fail("AccessSecretVersion", gcptest.Fault{Code: c.code})
		if _, err := st.Read(t.Context(), provider.Request{Key: "a"}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := w.server.Count("AccessSecretVersion") - before; n != c.want {
			t.Errorf("%s: %d calls, want %d", name, n, c.want)
		}
		w.server.Mend()
	}
	w.Retry = provider.Retry{}
	st := w.Open(settings(nil)).(provider.Writer)
	w.server.Fail("AddSecretVersion", gcptest.Fault{Code: codes.Unavailable})
	err := st.Write(t.Context(), provider.Write{Place: provider.Place{Key: "new"}, Value: redact.FromString("canary")})
	w.Refused(err, errs.Unavailable, "writing")
	if n := w.server.Count("AddSecretVersion"); n != 1 {
		t.Errorf("%d versions asked for, want one", n)
	}
}

// Who may read and not list is not told that the store is bad.
func TestCheck(t *testing.T) {
	w := newWorld(t)
	st := w.Open(settings(nil))
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
	w.server.Forbid("secretmanager.secrets.list")
	w.Refused(st.Check(t.Context()), errs.Unsupported, "secretmanager.secrets.list")
	w.server.Fail("ListSecrets", gcptest.Fault{Code: codes.Unavailable})
	w.Refused(st.Check(t.Context()), errs.Unavailable)
	w.server.Mend()
	w.server.EndTokens()
	w.server.Account(reader) // nobody may any more
	w.Refused(st.Check(t.Context()), errs.Unauthenticated, "PERMISSION_DENIED")
}

func TestBadSettings(t *testing.T) {
	w := newWorld(t)
	other := "other"
	federation := func(f gcp.WorkloadIdentityFederation) func(*gcp.Settings) {
		return func(s *gcp.Settings) { s.Auth = gcp.Auth{WorkloadIdentityFederation: &f} }
	}
	account := &v1.ServiceAccountSelector{Name: "reader"}
	for name, c := range map[string]struct {
		change func(*gcp.Settings)
		kind   errs.Kind
		words  string
	}{
		"project":          {func(s *gcp.Settings) { s.ProjectID = "a/b" }, errs.Invalid, "projectID"},
		"no project":       {func(s *gcp.Settings) { s.ProjectID, s.Auth = "", byKey() }, errs.Invalid, "projectID is missing"},
		"location":         {func(s *gcp.Settings) { s.Location = "evil.example/" }, errs.Invalid, "location"},
		"host":             {func(s *gcp.Settings) { s.Location = "x.evil.example#" }, errs.Invalid, "location"},
		"policy":           {func(s *gcp.Settings) { s.Policy = "Newest" }, errs.Invalid, "LatestOrFail or LatestOrFetch"},
		"two":              {func(s *gcp.Settings) { s.Auth.SecretRef = byKey().SecretRef }, errs.Invalid, "keep one"},
		"key":              {func(s *gcp.Settings) { s.Auth = byKey(); s.Auth.SecretRef.SecretAccessKey.Key = "" }, errs.Invalid, "key is missing"},
		"no key":           {func(s *gcp.Settings) { s.Auth = gcp.Auth{SecretRef: &gcp.SecretRef{}} }, errs.Invalid, "name is missing"},
		"cluster":          {func(s *gcp.Settings) { s.Auth.WorkloadIdentity.ClusterName = "a/b" }, errs.Invalid, "clusterName"},
		"cluster project":  {func(s *gcp.Settings) { s.Auth.WorkloadIdentity.ClusterProjectID = "A" }, errs.Invalid, "clusterProjectID"},
		"federation":       {federation(gcp.WorkloadIdentityFederation{}), errs.Invalid, "needs one of"},
		"no audience":      {federation(gcp.WorkloadIdentityFederation{ServiceAccountRef: account}), errs.Invalid, "audience is missing"},
		"no region":        {federation(gcp.WorkloadIdentityFederation{AWS: &gcp.AWSCredentials{}, Audience: "x"}), errs.Invalid, "region is missing"},
		"no document":      {federation(gcp.WorkloadIdentityFederation{CredConfig: &gcp.ConfigMapReference{Name: "gcp"}}), errs.Invalid, "key is missing"},
		"document":         {federation(gcp.WorkloadIdentityFederation{CredConfig: &gcp.ConfigMapReference{Name: "gcp", Key: "x"}}), errs.Denied, "--ambient-credentials"},
		"ambient":          {func(s *gcp.Settings) { s.Auth = gcp.Auth{} }, errs.Denied, "--ambient-credentials"},
		"another's key":    {func(s *gcp.Settings) { s.Auth = byKey(); s.Auth.SecretRef.SecretAccessKey.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
		"another's config": {federation(gcp.WorkloadIdentityFederation{CredConfig: &gcp.ConfigMapReference{Name: "gcp", Key: "x", Namespace: other}}), errs.Invalid, "reads only its own namespace"},
		// GHSA-fq7h-9x26-6j22/CVE-2026-42876 is of this shape.
		"another's account": {func(s *gcp.Settings) { s.Auth.WorkloadIdentity.ServiceAccountRef.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
		"another's federated account": {federation(gcp.WorkloadIdentityFederation{
			ServiceAccountRef: &v1.ServiceAccountSelector{Name: "reader", Namespace: &other}, Audience: gcptest.Provider,
		}), errs.Invalid, "reads only its own namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.TryOpen(settings(c.change))
			providertest.Refused(t, err, c.kind, c.words, "spec.provider.gcpsm")
		})
	}
	for _, endpoint := range []string{"http://elsewhere.example", "ftp://127.0.0.1", "://", "127.0.0.1:80"} {
		for _, name := range []string{"GCP_SECRETMANAGER_ENDPOINT", "GCP_TOKEN_ENDPOINT"} {
			w.getenv = func(n string) string { return map[string]string{name: endpoint}[n] }
			_, err := w.TryOpen(settings(nil))
			w.Refused(err, errs.Invalid, name, "neither https")
		}
	}
	w.getenv = nil
	for _, location := range []string{"europe-west3", "us-central1", "northamerica-northeast2", "africa-south1"} {
		w.Open(settings(func(s *gcp.Settings) { s.Location = location }))
	}
}

// A search asks for as little as it can say, and believes nothing that comes.
func TestFilters(t *testing.T) {
	w := newWorld(t)
	w.server.Put("team-a", "x")
	w.server.Label("team-a", map[string]string{"env": "prod", "größe": "klein"})
	w.server.Put("a-team-a", "x")
	w.server.Label("a-team-a", map[string]string{"env": "prod", "größe": "klein"})
	f := w.Open(settings(nil)).(provider.Finder)
	for _, q := range []provider.Query{
		{Path: "team-", Tags: provider.TagsOf(map[string]string{"env": "prod"})},
		{Path: "team-", Tags: provider.TagsOf(map[string]string{"größe": "klein"})},
		{Path: "team-", Name: "a$"},
	} {
		found, err := f.Find(t.Context(), q)
		if err != nil || len(found) != 1 || found[0].Key != "team-a" {
			t.Errorf("%+v: %v (%v)", q, found, err)
		}
	}
	for _, path := range []string{`x" OR name:a`, "a b", "a/b"} {
		if found, err := f.Find(t.Context(), provider.Query{Path: path}); err != nil || len(found) != 0 {
			t.Errorf("path %q: %v (%v)", path, found, err)
		}
	}
	if got := w.server.Callers(); !slices.Equal(got, []string{reader}) {
		t.Errorf("called by %q", got)
	}
}
