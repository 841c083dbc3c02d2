package awskms_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/awskms"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// clean takes what the machine of the test says about AWS away.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT"} {
		t.Setenv(name, "")
	}
}

// settings are those of the AWS of a test, without the key.
func settings(t *testing.T, s *awstest.Server) awskms.Settings {
	t.Helper()
	clean(t)
	at := s.Getenv("AWS_KMS_ENDPOINT")
	return awskms.Settings{
		Region: awstest.Region, Endpoint: at, STSEndpoint: at, Timeout: "1m",
		CredentialsFile: file(t, credentials(awstest.KeyID, awstest.KeySecret)),
	}
}

func credentials(id, secret string) string {
	return "# AWS\n[other]\naws_access_key_id=canary\naws_secret_access_key=canary\n[default]\naws_access_key_id = " + id + "\naws_secret_access_key = " + secret + "\nregion = x\n"
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, s awskms.Settings) keystore.Versioned {
	t.Helper()
	k, err := tryOpen(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func tryOpen(t *testing.T, s awskms.Settings) (keystore.Versioned, error) {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return awskms.Open(raw)
}

func withKey(s awskms.Settings, key string) awskms.Settings {
	s.Key = key
	return s
}

func withAlias(s awskms.Settings, alias string) awskms.Settings {
	s.Alias = alias
	return s
}

func TestSuite(t *testing.T) {
	aws := awstest.New(t)
	s := settings(t, aws)
	one, other := aws.AddKMSKey(""), aws.AddKMSKey("")
	keystoretest.Run(t, open(t, withKey(s, awstest.KMSARN(one))), open(t, withKey(s, one)), open(t, withKey(s, awstest.KMSARN(other))))
	for _, a := range []string{"alias/aws/ebs", "alias/one/1", "alias/one/x", "alias/one/01", "alias/one", "alias/oneself/1", "alias/other/7"} {
		aws.SetAlias(a, one)
	}
	aws.SetAlias("alias/other/7", other)
	first := withAlias(s, "alias/one")
	keystoretest.Run(t, open(t, first), open(t, first), open(t, withAlias(s, "alias/other")))
	keystoretest.Turning(t, open(t, first), open(t, first), func() { aws.SetAlias("alias/one/2", aws.AddKMSKey("")) })
}

// What AWS turns by itself is no version, and opens all the time.
func TestRotatedMaterial(t *testing.T) {
	aws := awstest.New(t)
	id := aws.AddKMSKey("")
	k := open(t, withKey(settings(t, aws), id))
	before, err := k.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	blob := wrap(t, k)
	aws.RotateKMSKey(id)
	unwraps(t, k, blob)
	unwraps(t, k, wrap(t, k))
	if after, err := k.History(t.Context()); err != nil || len(after.Versions) != 1 || after.Versions[0] != before.Versions[0] || after.Lineage != before.Lineage {
		t.Errorf("%+v, %v, want %+v", after, err, before)
	}
}

func wrap(t *testing.T, k keystore.Versioned) []byte {
	t.Helper()
	blob, err := k.Wrap(t.Context(), []byte("a"), redact.FromString("canary-plain"))
	if err != nil {
		t.Fatal("wrapping:", err)
	}
	return blob
}

func unwraps(t *testing.T, k keystore.Versioned, blob []byte) {
	t.Helper()
	if got, err := k.Unwrap(t.Context(), []byte("a"), blob); err != nil || got.RevealString() != "canary-plain" {
		t.Errorf("unwrapping: %v", err)
	}
}

// refused checks that all three calls fail so.
func refused(t *testing.T, k keystore.Versioned, blob []byte, kind errs.Kind, say string) {
	t.Helper()
	for name, call := range map[string]func() error{
		"History": func() error { _, err := k.History(t.Context()); return err },
		"Wrap": func() error {
			_, err := k.Wrap(t.Context(), []byte("a"), redact.FromString("canary-plain"))
			return err
		},
		"Unwrap": func() error { _, err := k.Unwrap(t.Context(), []byte("a"), blob); return err },
	} {
		if err := call(); !errs.Is(err, kind) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (%v), want %v that says %q", name, err, errs.KindOf(err), kind, say)
		}
	}
}

// A key that is not to be used says so, and what to do; one that is to be used again works.
func TestStates(t *testing.T) {
	aws := awstest.New(t)
	id := aws.AddKMSKey("")
	k := open(t, withKey(settings(t, aws), awstest.KMSARN(id)))
	blob := wrap(t, k)
	for state, c := range map[string]struct {
		kind errs.Kind
		say  string
	}{
		"Disabled": {errs.Denied, "enable-key"}, "PendingDeletion": {errs.Denied, "cancel-key-deletion"},
		"Unavailable": {errs.Unavailable, id}, "Creating": {errs.Unavailable, id},
	} {
		aws.SetKMSState(id, state)
		refused(t, k, blob, c.kind, c.say)
	}
	aws.SetKMSState(id, "PendingImport")
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "import") {
		t.Error(err)
	}
	aws.SetKMSState(id, "Enabled")
	unwraps(t, k, blob)
	aws.SetKMSState(id, "")
	refused(t, k, blob, errs.NotExist, "deleted?")
	for _, spec := range []string{"RSA_2048", "HMAC_256"} {
		k := open(t, withKey(settings(t, aws), aws.AddKMSKey(spec)))
		if _, err := k.History(t.Context()); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s: %v", spec, err)
		}
		if _, err := k.Wrap(t.Context(), nil, redact.FromString("canary")); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// Versions that do not decrypt are not listed; an alias that points elsewhere is
// another version, and what is under the one before does not open by it.
func TestAliases(t *testing.T) {
	aws := awstest.New(t)
	first, second, third := aws.AddKMSKey(""), aws.AddKMSKey(""), aws.AddKMSKey("")
	k := open(t, withAlias(settings(t, aws), "alias/kube"))
	if _, err := k.History(t.Context()); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "alias/kube/1") {
		t.Errorf("no alias: %v", err)
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	at := func(days int, alias, id string) {
		aws.Clock(func() time.Time { return now.AddDate(0, 0, days) })
		aws.SetAlias(alias, id)
	}
	at(0, "alias/kube/2", first)
	blob := wrap(t, k)
	at(1, "alias/kube/10", second)
	at(2, "alias/kube/9", third)
	aws.Clock(time.Now)
	born := map[string]time.Time{} // when a version was made is part of key ids: it never changes
	history := func(want ...keystore.Version) {
		t.Helper()
		h, err := k.History(t.Context())
		if err != nil || len(h.Versions) != len(want) || h.Lineage != "123456789012/eu-central-1/alias/kube" {
			t.Fatalf("%+v, %v", h, err)
		}
		for i, v := range h.Versions {
			if was, known := born[v.ID]; v.Made.IsZero() || known && v.Made != was {
				t.Errorf("version %s was made at %v, and at %v before", v.ID, v.Made, was)
			}
			born[v.ID], want[i].Made = v.Made, v.Made
			if v != want[i] {
				t.Errorf("version %d is %+v, want %+v", i, v, want[i])
			}
		}
	}
	is := func(days int, id string) keystore.Version {
		return keystore.Version{ID: id, Since: now.AddDate(0, 0, days), Wraps: true}
	}
	history(is(0, "2/"+first), is(2, "9/"+third), is(1, "10/"+second))
	aws.SetKMSState(third, "Disabled")
	aws.SetKMSState(second, "PendingDeletion")
	history(is(0, "2/"+first))
	aws.SetKMSState(first, "Disabled")
	refused(t, k, blob, errs.Denied, "") // all of them are
	for _, id := range []string{first, second, third} {
		aws.SetKMSState(id, "Enabled")
	}
	aws.LosePages()
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("half of a list: %v", err)
	}
	aws.Mend()
	unwraps(t, k, blob)
	at(3, "alias/kube/2", third)
	aws.Clock(time.Now)
	history(is(3, "2/"+third), is(2, "9/"+third), is(1, "10/"+second))
	if _, err := k.Unwrap(t.Context(), []byte("a"), blob); !errs.Is(err, errs.Conflict) {
		t.Errorf("an alias of another key opens: %v", err)
	}
	if _, err := k.WrapAs(t.Context(), "2/"+first, nil, redact.FromString("canary")); !errs.Is(err, errs.Conflict) {
		t.Errorf("an alias of another key wraps: %v", err)
	}

	// Pointed back, by mistake or not, it is the version that it was: it opens, and has its key id.
	at(4, "alias/kube/2", first)
	aws.Clock(time.Now)
	history(is(4, "2/"+first), is(2, "9/"+third), is(1, "10/"+second))
	unwraps(t, k, blob)
}

// A blob under a key of somebody else's, which AWS would let us decrypt, is not opened.
func TestForeignKey(t *testing.T) {
	aws := awstest.New(t)
	ours, theirs := aws.AddKMSKey(""), aws.AddKMSKey("")
	blob := wrap(t, open(t, withKey(settings(t, aws), theirs)))
	calls := aws.Count("Decrypt")
	if _, err := open(t, withKey(settings(t, aws), ours)).Unwrap(t.Context(), []byte("a"), blob); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	if aws.Count("Decrypt") != calls {
		t.Error("AWS was asked")
	}
}

func TestFaults(t *testing.T) {
	clean(t)
	login := file(t, credentials(awstest.KeyID, awstest.KeySecret))
	for code, c := range map[string]struct {
		status int
		kind   errs.Kind
		say    string
	}{
		"ThrottlingException":         {400, errs.Unavailable, "throttles"},
		"LimitExceededException":      {400, errs.Unavailable, "throttles"},
		"AccessDeniedException":       {400, errs.Denied, "AccessDeniedException"},
		"KMSInternalException":        {500, errs.Unavailable, "trouble"},
		"DependencyTimeoutException":  {503, errs.Unavailable, "trouble"},
		"KeyUnavailableException":     {500, errs.Unavailable, "cannot be reached"},
		"UnrecognizedClientException": {400, errs.Unauthenticated, "UnrecognizedClient"},
		"ExpiredTokenException":       {400, errs.Unauthenticated, "ExpiredToken"},
		"InvalidKeyUsageException":    {400, errs.Unsupported, "symmetric"},
		"SomethingNew":                {400, errs.Invalid, "SomethingNew"},
		"a page":                      {502, errs.Unavailable, ""},
		"an empty answer":             {200, errs.Unavailable, "not one of AWS"},
		"nobody":                      {0, errs.Unavailable, ""},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel() // the SDK waits between its tries
			aws := awstest.New(t)
			k := open(t, awskms.Settings{Region: awstest.Region, Endpoint: aws.Getenv("AWS_KMS_ENDPOINT"), Key: aws.AddKMSKey(""), CredentialsFile: login, Timeout: "1m"})
			blob := wrap(t, k)
			fault := awstest.Fault{Status: c.status, Code: code}
			switch c.status {
			case 0:
				aws.Close()
			case 200:
				fault.Body = "{}"
			case 502:
				fault.Body = "<html>canary"
			}
			aws.Fail("", fault)
			refused(t, k, blob, c.kind, c.say)
			if aws.Mend(); c.status != 0 {
				unwraps(t, k, blob)
			}
		})
	}
}

// An answer that takes too long is none.
func TestSlow(t *testing.T) {
	aws := awstest.New(t)
	s := settings(t, aws)
	s.Timeout = "50ms"
	k := open(t, withKey(s, aws.AddKMSKey("")))
	end := make(chan struct{})
	defer close(end)
	aws.Before("Encrypt", func() { <-end })
	if _, err := k.Wrap(t.Context(), nil, redact.FromString("canary")); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

func TestTooLarge(t *testing.T) {
	aws := awstest.New(t)
	k := open(t, withKey(settings(t, aws), aws.AddKMSKey("")))
	if _, err := k.Wrap(t.Context(), nil, redact.New(make([]byte, 4097))); !errs.Is(err, errs.TooLarge) {
		t.Error(err)
	}
}

// A role's session that ended is made anew, and at most every ten seconds.
func TestRole(t *testing.T) {
	aws := awstest.New(t)
	const role = "arn:aws:iam::123456789012:role/kms"
	aws.AddRole(role, awstest.Role{})
	s := withKey(settings(t, aws), aws.AddKMSKey(""))
	s.Role = role
	k := open(t, s)
	clock := time.Now()
	awskms.SetClock(k, func() time.Time { return clock })
	blob := wrap(t, k)
	aws.EndSessions()
	unwraps(t, k, blob)
	aws.EndSessions()
	refused(t, k, blob, errs.Unauthenticated, "Expired")
	clock = clock.Add(time.Minute)
	unwraps(t, k, blob)
	if n := aws.Count("AssumeRole"); n != 3 {
		t.Errorf("there were %d logins, not 3", n)
	}
	s.Role = "arn:aws:iam::123456789012:role/none"
	refused(t, open(t, s), blob, errs.Denied, "assuming role")
}

// What assumes a role is read again from its file when AWS refuses what was there before.
func TestRoleByChangedFile(t *testing.T) {
	aws := awstest.New(t)
	const role = "arn:aws:iam::123456789012:role/kms"
	aws.AddRole(role, awstest.Role{})
	s := withKey(settings(t, aws), aws.AddKMSKey(""))
	s.Role = role
	k := open(t, s)
	blob := wrap(t, k)
	aws.RemoveKey(awstest.KeyID)
	aws.AddKey("AKIAOTHER", "canary-right")
	if err := os.WriteFile(s.CredentialsFile, []byte(credentials("AKIAOTHER", "canary-right")), 0o600); err != nil {
		t.Fatal(err)
	}
	aws.EndSessions()
	unwraps(t, k, blob)
}

// The machine is asked directly, whatever proxy others are to go by.
func TestMachineWithoutProxy(t *testing.T) {
	aws := awstest.New(t)
	s := withKey(settings(t, aws), aws.AddKMSKey(""))
	s.CredentialsFile = ""
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy is asked for %s", r.URL) }))
	t.Cleanup(proxy.Close)
	node := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(node.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	shared := http.DefaultTransport.(*http.Transport)
	before := shared.Proxy
	shared.Proxy = http.ProxyURL(at)
	t.Cleanup(func() { shared.Proxy = before })
	for _, name := range []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			t.Setenv(name, node.URL)
			if _, err := open(t, s).Wrap(t.Context(), nil, redact.FromString("x")); err == nil {
				t.Error("there are credentials")
			}
		})
	}
}

// Credentials that were changed in their file are read again when AWS refuses those
// before.
func TestCredentialsFile(t *testing.T) {
	aws := awstest.New(t)
	s := withKey(settings(t, aws), aws.AddKMSKey(""))
	k := open(t, s)
	blob := wrap(t, k)
	aws.RemoveKey(awstest.KeyID)
	refused(t, k, blob, errs.Unauthenticated, "UnrecognizedClient")
	aws.AddKey("AKIAOTHER", "canary-right")
	if err := os.WriteFile(s.CredentialsFile, []byte(credentials("AKIAOTHER", "canary-right")), 0o600); err != nil {
		t.Fatal(err)
	}
	clock := time.Now().Add(time.Minute)
	awskms.SetClock(k, func() time.Time { return clock })
	unwraps(t, k, blob)
	if err := os.Chmod(s.CredentialsFile, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, open(t, s), blob, errs.Denied, "chmod")
	s.CredentialsFile = "/none"
	refused(t, open(t, s), blob, errs.Unavailable, "credentials_file")
	s.CredentialsFile = file(t, "canary")
	refused(t, open(t, s), blob, errs.Invalid, "aws_secret_access_key")
}

func FuzzCredentials(f *testing.F) {
	f.Add(credentials("AKIA", "canary"))
	f.Add("aws_access_key_id=a\naws_secret_access_key=b\naws_session_token=c")
	f.Add("[default")
	f.Add("=")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := awskms.ParseCredentials(redact.FromString(text))
		if err == nil && !c.HasKeys() {
			t.Error("there are no keys, and no error")
		}
		if err != nil && (!errs.Is(err, errs.Invalid) || c.AccessKeyID+c.SecretAccessKey != "") {
			t.Errorf("%v, with keys", err)
		}
	})
}

// Without credentials_file it is the machine's own identity.
func TestMachine(t *testing.T) {
	aws := awstest.New(t)
	s := withKey(settings(t, aws), aws.AddKMSKey(""))
	blob := wrap(t, open(t, s))
	s.CredentialsFile = ""
	node := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		doc := `"AccessKeyId":"` + awstest.KeyID + `","SecretAccessKey":"` + awstest.KeySecret + `","Token":"","Expiration":"2999-01-01T00:00:00Z"`
		switch {
		case r.URL.Path == "/agent" && r.Header.Get("Authorization") == "canary-agent":
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
	mounted := filepath.Join(t.TempDir(), "var/run/secrets/kubernetes.io/serviceaccount")
	if err := os.MkdirAll(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	mounted = filepath.Join(mounted, "token")
	if err := os.WriteFile(mounted, []byte("canary-agent"), 0o400); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		kind errs.Kind // of a refusal that says
		say  string
	}{
		"keys":       {env: map[string]string{"AWS_ACCESS_KEY_ID": awstest.KeyID, "AWS_SECRET_ACCESS_KEY": awstest.KeySecret}},
		"agent":      {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/agent", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary-agent"}},
		"its token":  {env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/agent", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file(t, "canary-agent")}},
		"instance":   {env: map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": node.URL}},
		"none":       {map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, errs.Unauthenticated, "no credentials"},
		"elsewhere":  {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://elsewhere.example/"}, errs.Invalid, "neither https"},
		"not for us": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/x"}, errs.Unavailable, "agent of the machine"},
		"a pod's":    {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": node.URL + "/agent", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": mounted}, errs.Unavailable, "agent of the machine"},
		"IRSA":       {map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": mounted}, errs.Invalid, "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			k, err := tryOpen(t, s)
			if err != nil {
				if c.say == "" || !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
					t.Errorf("%v, want %q", err, c.say)
				}
				return
			}
			if c.say != "" {
				refused(t, k, blob, c.kind, c.say)
				return
			}
			unwraps(t, k, blob)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	clean(t)
	const id, region = "00000000-0000-4000-8000-000000000001", `"region":"eu-central-1"`
	for settings, say := range map[string]string{
		`{`:                                   "reading the settings",
		`{}`:                                  "one of key and alias",
		`{` + region + `}`:                    "one of key and alias",
		`{"key":"` + id + `"}`:                "region",
		`{"region":"e/u","key":"` + id + `"}`: "region",
		`{` + region + `,"key":"` + id + `","alias":"alias/a"}`:                      "one of key and alias",
		`{` + region + `,"key":"alias/a"}`:                                           "neither the ARN",
		`{"key":"arn:aws:kms:eu-central-1:123456789012:alias/a"}`:                    "neither the ARN",
		`{` + region + `,"key":"arn:aws:kms:us-east-1:123456789012:key/` + id + `"}`: "one of us-east-1",
		`{` + region + `,"alias":"a"}`:                                               "alias/kubernetes",
		`{` + region + `,"alias":"alias/a/"}`:                                        "alias/kubernetes",
		`{` + region + `,"key":"` + id + `","endpoint":"http://kms.example"}`:        "endpoint must be",
		`{` + region + `,"key":"` + id + `","sts_endpoint":"ftp://kms.example"}`:     "sts_endpoint must be",
		`{` + region + `,"key":"` + id + `","role":"kms"}`:                           "no ARN of a role",
		`{` + region + `,"key":"` + id + `","timeout":"0s"}`:                         "positive duration",
		`{` + region + `,"key":"` + id + `","secret_key":"canary"}`:                  "unknown",
	} {
		if _, err := awskms.Open([]byte(settings)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to say %q", settings, err, say)
		}
	}
	// The region follows from the key, and keys in several regions are one.
	k, err := awskms.Open([]byte(`{"key":"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-00000000000000000000000000000001"}`))
	if err != nil || k.KeyID() != "mrk-00000000000000000000000000000001" {
		t.Error(k, err)
	}
}

func FuzzBlob(f *testing.F) {
	blob, err := awskms.Pack("3/00000000-0000-4000-8000-000000000001", []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Add(blob[:42])
	f.Add([]byte{1, 0, 0, 0, 0, 255})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, blob []byte) {
		version, ciphertext, err := awskms.Unpack(blob)
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Error(err)
			}
			return
		}
		again, err := awskms.Pack(version, ciphertext)
		if err != nil || string(again) != string(blob) {
			t.Errorf("%x unpacks to %s, which packs to %x, %v", blob, version, again, err)
		}
	})
}

// What people do in the store, as they would type it.
func TestGuide(t *testing.T) {
	s := awskms.Settings{Region: "eu-central-1", CredentialsFile: file(t, credentials("a", "b"))}
	k := open(t, withAlias(s, "alias/prod"))
	const id = "1234abcd-12ab-34cd-56ef-1234567890ab"
	h := keystore.History{Versions: []keystore.Version{{ID: "1/" + id}, {ID: "7/" + id}}}
	if got, want := strings.Join(k.(keystore.Guide).Next(h), "\n"), "aws kms create-key --region=eu-central-1 --query=KeyMetadata.KeyId --output=text\naws kms create-alias --region=eu-central-1 --alias-name=alias/prod/8 --target-key-id=KEY-ID"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	const other = "1234abcd-12ab-34cd-56ef-1234567890ac"
	gone := k.(keystore.Guide).Retire([]string{"1/" + id, "7/" + other}, "8/"+id)
	if len(gone) != 2 || len(gone[0]) != 1 || !strings.HasPrefix(gone[0][0], "nothing: ") || strings.Contains(gone[0][0], "disable") {
		t.Errorf("the key that is in use is taken away: %q", gone)
	}
	if want := "aws kms disable-key --region=eu-central-1 --key-id=" + other; len(gone) != 2 || strings.Join(gone[1], "\n") != want {
		t.Errorf("%q, want %s", gone, want)
	}
	if got := strings.Join(open(t, withKey(s, id)).(keystore.Guide).Next(h), ""); !strings.Contains(got, "has one version") {
		t.Error(got)
	}
}
