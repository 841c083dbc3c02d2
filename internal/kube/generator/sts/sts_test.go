package sts_test

import (
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sts"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

const (
	auth = `"region":"eu-central-1","auth":{"secretRef":{"accessKeyIDSecretRef":{"name":"user","key":"id"},"secretAccessKeySecretRef":{"name":"user","key":"key"}}}`
	role = "arn:aws:iam::123456789012:role/app"
)

var objects = generatortest.Cluster{"Secret/user": {"id": awstest.KeyID, "key": awstest.KeySecret}}

func TestSuite(t *testing.T) {
	s := awstest.New(t)
	s.AddRole(role, awstest.Role{By: "user/example"})
	for _, rest := range []string{``, `,"requestParameters":{"sessionDuration":900}`, `,"role":"` + role + `"`} {
		generatortest.Run(t, generatortest.Subject{
			Kind: sts.Kind{AWS: aws.Provider{Getenv: s.Getenv}}, Spec: `{` + auth + rest + `}`, Cluster: objects,
			Keys: []string{"access_key_id", "secret_access_key", "session_token", "expiration"}, Hidden: []string{awstest.KeySecret},
			Break: func() func() { s.Fail("", awstest.Fault{Status: 503, Code: "ServiceUnavailable"}); return s.Mend },
		})
	}
	if s.Count("GetSessionToken") == 0 || s.Count("AssumeRole") == 0 {
		t.Error("neither a session nor a role was asked for")
	}
}

func TestEnds(t *testing.T) {
	s := awstest.New(t)
	made, err := sts.Kind{AWS: aws.Provider{Getenv: s.Getenv}}.Generate(t.Context(), generatortest.Config(objects, `{`+auth+`}`))
	if left := time.Until(made.Expires); err != nil || left < 50*time.Minute || left > time.Hour {
		t.Errorf("%v, %s are left", err, left)
	}
}

func TestRefusals(t *testing.T) {
	s := awstest.New(t)
	for spec, words := range map[string]string{
		`{` + auth + `,"role":"` + role + `","requestParameters":{"sessionDuration":900}}`: "spec.requestParameters",
		`{` + auth + `,"role":"` + role + `"}`:                                             "trust policy",
		`{"region":"eu-central-1"}`:                                                        "--ambient-credentials",
	} {
		_, err := sts.Kind{AWS: aws.Provider{Getenv: s.Getenv}}.Generate(t.Context(), generatortest.Config(objects, spec))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
}
