package access

import (
	"net/url"
	"strings"
	"testing"

	"cloud.google.com/go/auth/credentials/externalaccount"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// tells reports whether an error holds a text that should not be told.
func tells(err error, text string) bool {
	return err != nil && len(text) > 300 && strings.Contains(err.Error(), text[:300])
}

// Whatever stands in a Secret as a key: one that is taken is sent to Google and nowhere
// else, and no error tells it.
func FuzzKey(f *testing.F) {
	f.Add([]byte(`{"type":"service_account","client_email":"a@b.iam.gserviceaccount.com","token_uri":"https://oauth2.googleapis.com/token"}`))
	f.Add([]byte(`{"type":"service_account","token_uri":"https://oauth2.googleapis.com@evil.example/"}`))
	f.Add([]byte(`{"type":"external_account","private_key":"canary"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		who, err := checkKey(raw)
		if tells(err, string(raw)) {
			t.Fatal("the error tells the key")
		}
		if err == nil && (len(who) > 256 || strings.IndexFunc(who, func(r rune) bool { return r < ' ' || r > '~' }) >= 0) {
			t.Fatalf("whose key it is, is no word for a message: %q", who)
		}
	})
}

// Whatever stands in a document of federation: one that is taken asks nobody but Google
// and what the store itself names.
func FuzzDocument(f *testing.F) {
	f.Add(`{"type":"external_account","audience":"a","credential_source":{"url":"https://tokens.example/t","format":{"type":"json","subject_token_field_name":"x"}}}`)
	f.Add(`{"type":"external_account","audience":"a","token_url":"https://evil.example","credential_source":{"file":"/x"}}`)
	f.Add(`{"type":"external_account","audience":"a","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.c:generateAccessToken","credential_source":{"file":"/x"}}`)
	f.Add(`{"type":"external_account","audience":"a","credential_source":{"environment_id":"aws1","url":"http://169.254.169.254/x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		o := &externalaccount.Options{}
		err := Federation{URL: "https://tokens.example/t"}.read(text, o)
		if tells(err, text) {
			t.Fatal("the error tells the document")
		}
		if err != nil {
			return
		}
		s := o.CredentialSource
		if s == nil || s.Executable != nil || s.Certificate != nil || s.EnvironmentID == "" && s.URL != "" && s.File == "" && s.URL != "https://tokens.example/t" {
			t.Fatalf("taken: %+v", s)
		}
		if at := o.ServiceAccountImpersonationURL; at != "" {
			if u, err := url.Parse(at); err != nil || u.Scheme != "https" || u.Host != "iamcredentials.googleapis.com" {
				t.Fatalf("it impersonates at %q", at)
			}
		}
		for _, at := range []string{s.URL, s.RegionURL, s.IMDSv2SessionTokenURL} {
			u, err := url.Parse(at)
			if s.EnvironmentID != "" && at != "" && (err != nil || u.Host != "169.254.169.254" && u.Host != "[fd00:ec2::254]") {
				t.Fatalf("AWS's metadata is asked for at %q", at)
			}
		}
	})
}

// Whatever Google refuses with, what is told of it is a code.
func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_grant","error_description":"canary"}`))
	f.Add([]byte(`{"error":{"status":"PERMISSION_DENIED","message":"canary"}}`))
	f.Add([]byte(`{"error":"canary canary"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		code := codeOf(body)
		if len(code) > 64 || strings.ContainsAny(code, " \n\"{}<>0123456789") {
			t.Fatalf("told: %q", code)
		}
		a := &attempt{last: login.Answer{Status: 400, Code: code}}
		if err := a.refused("signing in", nil, "correct it"); errs.KindOf(err) == errs.NotExist {
			t.Fatal(err)
		}
	})
}
