package ecr_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/ecr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

const auth = `"region":"eu-central-1","auth":{"secretRef":{"accessKeyIDSecretRef":{"name":"user","key":"id"},"secretAccessKeySecretRef":{"name":"user","key":"key"}}}`

var objects = generatortest.Cluster{"Secret/user": {"id": awstest.KeyID, "key": awstest.KeySecret}}

func TestSuite(t *testing.T) {
	s := awstest.New(t)
	down := func() func() { s.Fail("", awstest.Fault{Status: 503, Code: "ServiceUnavailable"}); return s.Mend }
	kind := ecr.Kind{AWS: aws.Provider{Getenv: s.Getenv}}
	generatortest.Run(t, generatortest.Subject{
		Kind: kind, Spec: `{` + auth + `}`, Cluster: objects, Hidden: []string{awstest.KeySecret}, Break: down,
		Keys: []string{"username", "password", "proxy_endpoint", "expires_at"}, Same: true,
	})
	generatortest.Run(t, generatortest.Subject{
		Kind: kind, Spec: `{` + auth + `,"scope":"public"}`, Cluster: objects, Hidden: []string{awstest.KeySecret}, Break: down,
		Keys: []string{"username", "password", "expires_at"}, Same: true,
	})
}

func TestLogin(t *testing.T) {
	s := awstest.New(t)
	made, err := ecr.Kind{AWS: aws.Provider{Getenv: s.Getenv}}.Generate(t.Context(), generatortest.Config(objects, `{`+auth+`}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"username": "AWS", "password": awstest.KeySecret + "-registry", "proxy_endpoint": awstest.Registry} {
		if got := made.Data[key].RevealString(); got != want {
			t.Errorf("%s is not what AWS gave", key)
		}
	}
	if made.Expires.IsZero() {
		t.Error("it never ends")
	}
}

func TestRefusals(t *testing.T) {
	s := awstest.New(t)
	for spec, words := range map[string]string{
		`{` + auth + `,"scope":"all"}`:   "spec.scope",
		`{"region":"x/y"}`:               "region",
		`{"region":"eu-central-1"}`:      "--ambient-credentials",
		`{` + auth + `,"role":"reader"}`: "ARN",
		strings.Replace(`{`+auth+`}`, `"name":"user"`, `"name":"user","namespace":"other"`, 1): "reads only the namespace",
	} {
		_, err := ecr.Kind{AWS: aws.Provider{Getenv: s.Getenv}}.Generate(t.Context(), generatortest.Config(objects, spec))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
	s.Fail("GetAuthorizationToken", awstest.Fault{Status: 400, Code: "AccessDeniedException"})
	if _, err := (ecr.Kind{AWS: aws.Provider{Getenv: s.Getenv}}).Generate(t.Context(), generatortest.Config(objects, `{`+auth+`}`)); !errs.Is(err, errs.Denied) {
		t.Error(err)
	}
	s.Fail("GetAuthorizationToken", awstest.Fault{Status: 200, Body: `{"authorizationData":[{"authorizationToken":"!"}]}`})
	if _, err := (ecr.Kind{AWS: aws.Provider{Getenv: s.Getenv}}).Generate(t.Context(), generatortest.Config(objects, `{`+auth+`}`)); !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
}
