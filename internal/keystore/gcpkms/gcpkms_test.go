package gcpkms_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/gcpkms"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	symmetric = kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION
	account   = "kms@my-project.iam.gserviceaccount.com"
)

// start runs a Google with keys.
func start(t *testing.T, keys ...string) *gcptest.Server {
	t.Helper()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("GCE_METADATA_HOST", "")
	g := gcptest.New(t)
	for _, k := range keys {
		g.AddKeyVersion(gcptest.CryptoKey(k), symmetric)
	}
	return g
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func settings(t *testing.T, g *gcptest.Server, key string) gcpkms.Settings {
	t.Helper()
	return gcpkms.Settings{Key: gcptest.CryptoKey(key), Endpoint: g.Getenv("GCP_KMS_ENDPOINT"), Timeout: "1m", CredentialsFile: file(t, g.Key(t, account))}
}

func open(t *testing.T, s gcpkms.Settings) keystore.Versioned {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	k, err := gcpkms.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSuite(t *testing.T) {
	g := start(t, "one", "other")
	s := settings(t, g, "one")
	other := s
	other.Key = gcptest.CryptoKey("other")
	keystoretest.Run(t, open(t, s), open(t, s), open(t, other))
	keystoretest.Turning(t, open(t, s), open(t, s), func() { g.AddKeyVersion(s.Key, symmetric) })
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

// refused checks that all calls fail so.
func refused(t *testing.T, k keystore.Versioned, blob []byte, kind errs.Kind, say string) {
	t.Helper()
	for name, call := range map[string]func() error{
		"History": func() error { _, err := k.History(t.Context()); return err },
		"WrapAs": func() error {
			_, err := k.WrapAs(t.Context(), "1", []byte("a"), redact.FromString("canary-plain"))
			return err
		},
		"Unwrap": func() error { _, err := k.Unwrap(t.Context(), []byte("a"), blob); return err },
	} {
		if err := call(); !errs.Is(err, kind) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (%v), want %v that says %q", name, err, errs.KindOf(err), kind, say)
		}
	}
}

// Only versions that decrypt are listed, whichever is the primary one.
func TestVersions(t *testing.T) {
	g := start(t, "k")
	s := settings(t, g, "k")
	k := open(t, s)
	first := wrap(t, k)
	for range 10 {
		g.AddKeyVersion(s.Key, symmetric)
	}
	h, err := k.History(t.Context())
	if err != nil || len(h.Versions) != 11 || h.Lineage != s.Key || h.Versions[1].ID != "2" || h.Versions[10].ID != "11" || h.Versions[9].Made.IsZero() {
		t.Fatal(h, err)
	}
	if got, err := k.VersionOf(wrap(t, k)); err != nil || got != "11" {
		t.Errorf("Wrap took %s, %v", got, err)
	}
	for _, state := range []kmspb.CryptoKeyVersion_CryptoKeyVersionState{kmspb.CryptoKeyVersion_DISABLED, kmspb.CryptoKeyVersion_DESTROY_SCHEDULED, kmspb.CryptoKeyVersion_DESTROYED, kmspb.CryptoKeyVersion_PENDING_GENERATION} {
		g.SetKeyState(s.Key, 1, state)
		if h, err := k.History(t.Context()); err != nil || len(h.Versions) != 10 || h.Versions[0].ID != "2" {
			t.Errorf("%v: %+v, %v", state, h, err)
		}
		if _, err := k.Unwrap(t.Context(), []byte("a"), first); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "versions enable") || !strings.Contains(err.Error(), state.String()) {
			t.Errorf("%v: %v", state, err)
		}
	}
	for n := range 11 {
		g.SetKeyState(s.Key, n+1, kmspb.CryptoKeyVersion_DISABLED)
	}
	refused(t, k, first, errs.Denied, "enable")
	g.SetKeyState(s.Key, 1, kmspb.CryptoKeyVersion_ENABLED)
	unwraps(t, k, first)
	g.LosePages()
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("half of a list: %v", err)
	}
	g.Mend()
	signing := settings(t, g, "signing")
	g.AddKeyVersion(signing.Key, kmspb.CryptoKeyVersion_EC_SIGN_P256_SHA256)
	if _, err := open(t, signing).History(t.Context()); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a key that signs: %v", err)
	}
	if _, err := open(t, settings(t, g, "none")).History(t.Context()); !errs.Is(err, errs.NotExist) {
		t.Errorf("no key: %v", err)
	}
}

// What is damaged on the way is refused, both ways.
func TestDamage(t *testing.T) {
	g := start(t, "k")
	k := open(t, settings(t, g, "k"))
	blob := wrap(t, k)
	g.Damage(true)
	if _, err := k.WrapAs(t.Context(), "1", nil, redact.FromString("canary")); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("wrapping: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), []byte("a"), blob); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("unwrapping: %v", err)
	}
	g.Damage(false)
	unwraps(t, k, blob)
}

func TestFaults(t *testing.T) {
	g := start(t, "k")
	k := open(t, settings(t, g, "k"))
	blob := wrap(t, k)
	for _, c := range []struct {
		gcptest.Fault
		kind errs.Kind
		say  string
	}{
		{gcptest.Fault{Code: codes.ResourceExhausted, Message: "canary"}, errs.Unavailable, "throttles"},
		{gcptest.Fault{Code: codes.Unavailable, Message: "canary"}, errs.Unavailable, "away"},
		{gcptest.Fault{Code: codes.Internal, Message: "canary"}, errs.Unavailable, "trouble"},
		{gcptest.Fault{Code: codes.InvalidArgument, Message: "canary"}, errs.Invalid, "changed"},
		{gcptest.Fault{Code: codes.Unauthenticated, Message: "canary"}, errs.Unauthenticated, "not taken"},
		{gcptest.Fault{Code: codes.NotFound, Message: "canary"}, errs.Unavailable, "no answer of Cloud KMS"},
		{gcptest.Fault{Status: 404, Body: "<html>canary"}, errs.Unavailable, ""},
		{gcptest.Fault{Status: 503, Body: "<html>canary"}, errs.Unavailable, ""},
	} {
		g.Fail("", c.Fault)
		refused(t, k, blob, c.kind, c.say)
		g.Mend()
	}
	g.Fail("", gcptest.Fault{Code: codes.OK}) // an empty message
	for _, err := range []error{
		func() error { _, err := k.Unwrap(t.Context(), []byte("a"), blob); return err }(),
		func() error { _, err := k.WrapAs(t.Context(), "1", nil, redact.FromString("canary")); return err }(),
	} {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("an empty answer: %v", err)
		}
	}
	g.Mend()
	g.Forbid("cloudkms.all")
	refused(t, k, blob, errs.Denied, "Encrypter/Decrypter")
	g.Mend()
	unwraps(t, k, blob)
	if _, err := k.WrapAs(t.Context(), "1", nil, redact.New(make([]byte, 8<<10))); !errs.Is(err, errs.TooLarge) {
		t.Errorf("8 KiB: %v", err)
	}
	g.Close()
	refused(t, k, blob, errs.Unavailable, "")
}

// An answer that takes too long is none.
func TestSlow(t *testing.T) {
	g := start(t, "k")
	s := settings(t, g, "k")
	s.Timeout = "200ms"
	k := open(t, s)
	end := make(chan struct{})
	defer close(end)
	g.Before("Encrypt", func() { <-end })
	if _, err := k.WrapAs(t.Context(), "1", nil, redact.FromString("canary")); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
}

// The key of a service account signs by itself: nobody is asked for a token. One that
// is changed in its file is read when Google refuses the one before.
func TestCredentialsFile(t *testing.T) {
	g := start(t, "k")
	s := settings(t, g, "k")
	k := open(t, s)
	blob := wrap(t, k)
	if n := g.Count("token"); n != 0 {
		t.Errorf("tokens were asked for %d times", n)
	}
	renewed := g.Key(t, account) // the one before is none any more
	refused(t, k, blob, errs.Unauthenticated, "not taken")
	if err := os.WriteFile(s.CredentialsFile, []byte(renewed), 0o600); err != nil {
		t.Fatal(err)
	}
	clock := time.Now().Add(time.Minute)
	gcpkms.SetClock(k, func() time.Time { return clock })
	unwraps(t, k, blob)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", s.CredentialsFile)
	path := s.CredentialsFile
	s.CredentialsFile = ""
	unwraps(t, open(t, s), blob)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, open(t, s), blob, errs.Denied, "chmod")
	for content, say := range map[string]string{
		"canary": "type service_account", `{"type":"external_account","canary":1}`: "type service_account",
		`{"type":"service_account","private_key":"canary","client_email":"a@b"}`: "as Google gave it",
	} {
		s.CredentialsFile = file(t, content)
		refused(t, open(t, s), blob, errs.Invalid, say)
	}
	s.CredentialsFile = "/none"
	refused(t, open(t, s), blob, errs.Unavailable, "credentials_file")
}

func TestMachine(t *testing.T) {
	g := start(t, "k")
	s := settings(t, g, "k")
	blob := wrap(t, open(t, s))
	s.CredentialsFile = ""
	t.Setenv("GCE_METADATA_HOST", g.Getenv("GCE_METADATA_HOST"))
	refused(t, open(t, s), blob, errs.Unauthenticated, "give the machine a service account")
	g.Metadata()
	k := open(t, s)
	unwraps(t, k, blob)
	unwraps(t, k, blob)
	if n := g.Count("metadata"); n != 4 { // 3 of them without one
		t.Errorf("there were %d questions to the machine, not 4", n)
	}
	g.EndTokens()
	unwraps(t, k, blob)
	g.EndTokens()
	refused(t, k, blob, errs.Unauthenticated, "not taken") // at once after a login
	g.Fail("metadata", gcptest.Fault{Status: 500, Body: "canary"})
	refused(t, open(t, s), blob, errs.Unavailable, "status 500")
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:1")
	refused(t, open(t, s), blob, errs.Unavailable, "nobody answers")
}

func TestOpenRefuses(t *testing.T) {
	key := gcptest.CryptoKey("k")
	for settings, say := range map[string]string{
		`{`:           "reading the settings",
		`{}`:          "cryptoKeys",
		`{"key":"k"}`: "cryptoKeys",
		`{"key":"` + key + `/cryptoKeyVersions/1"}`:                "without a version",
		`{"key":"` + key + `","timeout":"-1s"}`:                    "positive duration",
		`{"key":"` + key + `","endpoint":"http://kms.example"}`:    "endpoint must be",
		`{"key":"` + key + `","endpoint":"https://kms.example/v"}`: "endpoint must be",
		`{"key":"` + key + `","credentials":"canary"}`:             "unknown",
	} {
		if _, err := gcpkms.Open([]byte(settings)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want it to say %q", settings, err, say)
		}
	}
	k, err := gcpkms.Open([]byte(`{"key":"` + key + `"}`))
	if err != nil || k.KeyID() != key || k.Name() != "gcpkms" {
		t.Error(k, err)
	}
}

func FuzzBlob(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 3, 9})
	f.Add([]byte{1, 0, 0, 0, 0, 9})
	f.Add([]byte{2, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, blob []byte) {
		version, again, err := gcpkms.Unpack(blob)
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Error(err)
			}
			return
		}
		if string(again) != string(blob) {
			t.Errorf("%x unpacks to version %s, and packs to %x", blob, version, again)
		}
	})
}

// What people do in the store, as they would type it.
func TestGuide(t *testing.T) {
	guide := open(t, gcpkms.Settings{Key: "projects/prod/locations/europe-west3/keyRings/clusters/cryptoKeys/kube"}).(keystore.Guide)
	const at = "--key=kube --keyring=clusters --location=europe-west3 --project=prod"
	if got, want := guide.Next(keystore.History{})[0], "gcloud kms keys versions create "+at; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := guide.Retire([]string{"3"}, "4")[0][0], "gcloud kms keys versions disable 3 "+at; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
