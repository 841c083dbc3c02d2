package aws_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

// at opens a store and says where a key is.
func (w *world) at(s aws.Settings, key string) string {
	w.Helper()
	return w.Open(s).(provider.Locator).LocateKey(key)
}

// A place is told by account and region, whatever store leads there, so that two that
// push to it are seen as rivals.
func TestPlaces(t *testing.T) {
	w := newWorld(t)
	with := func(change func(*aws.Settings)) aws.Settings { return settings(aws.SecretsManager, change) }
	const db = "secretsmanager.eu-central-1.amazonaws.com/123456789012/shop/db"
	jwt := with(func(s *aws.Settings) { s.Auth = byAccount("reader") })
	for name, c := range map[string]struct {
		settings aws.Settings
		key      string
		want     string
	}{
		"the role of a ServiceAccount": {jwt, "shop/db", db},
		"another ServiceAccount's":     {with(func(s *aws.Settings) { s.Auth = byAccount("other") }), "shop/db", db},
		"a role":                       {with(func(s *aws.Settings) { s.Role = role("x") }), "shop/db", db},
		"a role behind others": {with(func(s *aws.Settings) {
			s.AdditionalRoles = []string{"arn:aws:iam::999999999999:role/hop"}
			s.Role = role("x")
		}), "shop/db", db},
		"the last of additional roles":   {with(func(s *aws.Settings) { s.AdditionalRoles = []string{"arn:aws:iam::999999999999:role/hop", role("x")} }), "shop/db", db},
		"a prefix":                       {with(func(s *aws.Settings) { s.Role, s.Prefix = role("x"), "shop/" }), "db", db},
		"an ARN":                         {jwt, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/db-a1B2c3", db},
		"an ARN of another account":      {jwt, "arn:aws:secretsmanager:us-east-1:999999999999:secret:db-a1B2c3", "secretsmanager.us-east-1.amazonaws.com/999999999999/db"},
		"another region":                 {with(func(s *aws.Settings) { s.Role, s.Region = role("x"), "us-east-1" }), "shop/db", strings.Replace(db, "eu-central-1", "us-east-1", 1)},
		"another account":                {with(func(s *aws.Settings) { s.Role = "arn:aws:iam::999999999999:role/x" }), "shop/db", strings.Replace(db, "123456789012", "999999999999", 1)},
		"a key, whose account none says": {with(nil), "shop/db", "secretsmanager.eu-central-1.amazonaws.com/key of team,aws,id/shop/db"},
		"no key":                         {jwt, "", ""},
		"a parameter":                    {settings(aws.ParameterStore, func(s *aws.Settings) { s.Role = role("x") }), "shop/db", "ssm.eu-central-1.amazonaws.com/123456789012//shop/db"},
		"a parameter without folder":     {settings(aws.ParameterStore, func(s *aws.Settings) { s.Role, s.Prefix = role("x"), "" }), "db", "ssm.eu-central-1.amazonaws.com/123456789012/db"},
		"the same, with a slash":         {settings(aws.ParameterStore, func(s *aws.Settings) { s.Role = role("x") }), "db", "ssm.eu-central-1.amazonaws.com/123456789012/db"},
		"a parameter's ARN":              {settings(aws.ParameterStore, func(s *aws.Settings) { s.Role, s.Prefix = role("x"), "" }), "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/db", "ssm.eu-central-1.amazonaws.com/123456789012//shop/db"},
	} {
		if got := w.at(c.settings, c.key); got != c.want {
			t.Errorf("%s: at %q, want %q", name, got, c.want)
		}
	}
	w.Cluster.Data["id"] = "ASIAQNZGKIQY56JQ7WML"
	if got := w.at(with(nil), "shop/db"); got != "secretsmanager.eu-central-1.amazonaws.com/029608264753/shop/db" {
		t.Errorf("by a key whose id tells the account: at %q", got)
	}
	if got := w.at(with(func(s *aws.Settings) { s.Service = aws.CertificateManager }), "arn:aws:acm:us-east-1:999999999999:certificate/x"); got != "acm.us-east-1.amazonaws.com/999999999999/x" {
		t.Errorf("a certificate: at %q", got)
	}
	delete(w.Cluster.Data, "id")
	if got := w.at(with(nil), "shop/db"); got != "" {
		t.Errorf("by a key that cannot be read: at %q", got)
	}
	w.Everywhere()
	w.ambient = provider.AmbientCluster
	if got := w.at(with(func(s *aws.Settings) { s.Auth = aws.Auth{} }), "shop/db"); got != "secretsmanager.eu-central-1.amazonaws.com/operator/shop/db" {
		t.Errorf("by the operator's own identity: at %q", got)
	}
}

// The operator's own identity tells its account where its environment does.
func TestPlaceOfOwnIdentity(t *testing.T) {
	w := newWorld(t)
	w.Everywhere()
	for name, c := range map[string]struct{ name, value, want string }{
		"a role":     {"AWS_ROLE_ARN", role("own"), "123456789012"},
		"a key":      {"AWS_ACCESS_KEY_ID", "AKIAQNZGKIQY56JQ7WML", "029608264753"},
		"an old key": {"AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", "operator"},
		"no key":     {"AWS_ACCESS_KEY_ID", "AKIAQ NZGKIQY56JQ7WM", "operator"},
	} {
		w.getenv = func(n string) string {
			if n == c.name {
				return c.value
			}
			return w.server.Getenv(n)
		}
		if got := w.at(settings(aws.ParameterStore, func(s *aws.Settings) { s.Auth = aws.Auth{} }), "db"); got != "ssm.eu-central-1.amazonaws.com/"+c.want+"/db" {
			t.Errorf("%s: at %q", name, got)
		}
	}
}

// A role that cannot be read when the store is opened names nothing; the next login
// tells.
func TestPlaceIsLearnt(t *testing.T) {
	w := newWorld(t)
	w.Cluster.Annotations = nil
	w.server.AddRole(role("reader"), awstest.Role{WebToken: webToken + ":team/reader"})
	w.server.Put("shop/db", "x")
	st := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Auth = byAccount("reader") }))
	if at := st.(provider.Locator).LocateKey("shop/db"); at != "" {
		t.Errorf("at %q, and no role is known", at)
	}
	w.Cluster.Annotations = map[string]string{"eks.amazonaws.com/role-arn": role("reader")}
	if _, err := st.Read(t.Context(), provider.Request{Key: "shop/db"}); err != nil {
		t.Fatal(err)
	}
	if at := st.(provider.Locator).LocateKey("shop/db"); at != "secretsmanager.eu-central-1.amazonaws.com/123456789012/shop/db" {
		t.Errorf("at %q", at)
	}
}

// Whatever is a key, another place has another name, and none is taken for a key of
// another account or region that did not say so.
func FuzzPlace(f *testing.F) {
	f.Add("shop/db", "shop/api")
	f.Add("arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-b1c2d3", "a")
	f.Add("/x", "x")
	f.Fuzz(func(t *testing.T, one, two string) {
		w := newWorld(t)
		st := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Role = role("x") })).(provider.Locator)
		a, b := st.LocateKey(one), st.LocateKey(two)
		if (a == "") != (one == "") || a == b && one != two && !strings.HasPrefix(one, "arn:") && !strings.HasPrefix(two, "arn:") {
			t.Fatalf("%q is at %q, %q at %q", one, a, two, b)
		}
	})
}
