package custody_test

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/app/unseal"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

func status(err error) int {
	var re *vault.ResponseError
	if errors.As(err, &re) {
		return re.StatusCode
	}
	return 0
}

func wantError(t *testing.T, what string, err error, code int, text string) {
	t.Helper()
	if status(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, want %d with %q", what, err, code, text)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// opens seals the vault and tells whether these shares open it; it is open afterwards.
func opens(t *testing.T, v *testenv.Vault, good, shares []string) bool {
	t.Helper()
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	for _, share := range shares {
		if s, err := v.Sys().Unseal(share); err == nil && !s.Sealed {
			return true
		}
	}
	must[*vault.SealStatusResponse](t)(v.Sys().ResetUnsealProcess())
	for _, share := range good {
		must[*vault.SealStatusResponse](t)(v.Sys().Unseal(share))
	}
	return false
}

// A rekey by the official client: begun by who may, done by shares of who has no token, with one wrong among them.
func TestRekey(t *testing.T) {
	v := testenv.Start(t, nil)
	nobody := v.NewClient("")
	begun := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 4, SecretThreshold: 2}))
	if !begun.Started || begun.Nonce == "" || begun.Required != testenv.Threshold || begun.N != 4 || begun.T != 2 {
		t.Errorf("begun: %+v", begun)
	}
	_, err := v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 4, SecretThreshold: 2})
	wantError(t, "a second one", err, 400, "already in progress")
	_, err = nobody.Sys().RekeyUpdate(v.Shares[0], "another nonce")
	wantError(t, "another nonce", err, 400, "incorrect nonce")
	if strings.Contains(err.Error(), begun.Nonce) {
		t.Error("who guesses is told the nonce")
	}
	other := testenv.Start(t, nil)
	_, err = nobody.Sys().RekeyUpdate(other.Shares[0], begun.Nonce)
	wantError(t, "a share of another vault", err, 400, "no share of the set")
	for i, share := range v.Shares[:testenv.Threshold-1] {
		for range 2 { // once more changes nothing
			r := must[*vault.RekeyUpdateResponse](t)(nobody.Sys().RekeyUpdate(share, begun.Nonce))
			if r.Complete {
				t.Fatal("complete too early")
			}
		}
		if s := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyStatus()); s.Progress != i+1 {
			t.Errorf("progress %d, want %d", s.Progress, i+1)
		}
	}
	done := must[*vault.RekeyUpdateResponse](t)(nobody.Sys().RekeyUpdate(v.Shares[testenv.Threshold-1], begun.Nonce))
	if !done.Complete || len(done.Keys) != 4 || len(done.KeysB64) != 4 || done.VerificationRequired {
		t.Fatalf("done: complete=%v keys=%d", done.Complete, len(done.Keys))
	}
	if s := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyStatus()); s.Started || s.Required != 2 {
		t.Errorf("afterwards: %+v", s)
	}
	if opens(t, v, done.Keys[:2], v.Shares) {
		t.Error("the old shares still open the vault")
	}
	if !opens(t, v, nil, done.KeysB64[2:]) {
		t.Error("the new shares do not open the vault")
	}
}

// With verification the old shares hold until the new ones were given back; under both names.
func TestRekeyVerifies(t *testing.T) {
	v := testenv.Start(t, nil)
	nobody := v.NewClient("")
	begun := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyRecoveryKeyInit(&vault.RekeyInitRequest{SecretShares: 3, SecretThreshold: 2, RequireVerification: true}))
	_, err := v.Sys().RekeyVerificationStatus()
	wantError(t, "nothing to verify yet", err, 400, "verification")
	var dealt *vault.RekeyUpdateResponse
	for _, share := range v.Shares[:testenv.Threshold] {
		dealt = must[*vault.RekeyUpdateResponse](t)(nobody.Sys().RekeyRecoveryKeyUpdate(share, begun.Nonce))
	}
	if !dealt.Complete || !dealt.VerificationRequired || dealt.VerificationNonce == "" || len(dealt.Keys) != 3 {
		t.Fatalf("dealt %d keys, verification %v", len(dealt.Keys), dealt.VerificationRequired)
	}
	_, err = nobody.Sys().RekeyUpdate(v.Shares[4], begun.Nonce)
	wantError(t, "one share more", err, 400, "complete")
	_, err = nobody.Sys().RekeyVerificationUpdate(v.Shares[0], dealt.VerificationNonce)
	wantError(t, "an old share as a new one", err, 400, "no share of the set")
	_, err = nobody.Sys().RekeyVerificationUpdate(dealt.Keys[0], begun.Nonce)
	wantError(t, "the nonce of before", err, 400, "incorrect nonce")
	if s := must[*vault.RekeyVerificationUpdateResponse](t)(nobody.Sys().RekeyVerificationUpdate(dealt.Keys[0], dealt.VerificationNonce)); s.Complete {
		t.Error("complete with one of two")
	}
	_, err = nobody.Sys().RekeyVerificationStatus()
	wantError(t, "a look without a token", err, 403, "")
	wantError(t, "a restart without a token", nobody.Sys().RekeyVerificationCancel(), 403, "")
	if s := must[*vault.RekeyVerificationStatusResponse](t)(v.Sys().RekeyVerificationStatus()); s.Progress != 1 || s.T != 2 || s.N != 3 || !s.Started {
		t.Errorf("%+v", s)
	}
	if err := v.Sys().RekeyVerificationCancel(); err != nil {
		t.Fatal(err)
	}
	again := must[*vault.RekeyVerificationStatusResponse](t)(v.Sys().RekeyVerificationStatus())
	if again.Progress != 0 || again.Nonce == dealt.VerificationNonce {
		t.Errorf("after a restart: %+v", again)
	}
	for i, share := range dealt.Keys[1:] {
		s := must[*vault.RekeyVerificationUpdateResponse](t)(nobody.Sys().RekeyRecoveryKeyVerificationUpdate(share, again.Nonce))
		if s.Complete != (i == 1) {
			t.Errorf("share %d: complete=%v", i, s.Complete)
		}
	}
	if opens(t, v, dealt.Keys[:2], v.Shares) {
		t.Error("old and new shares both open the vault")
	}
}

// What is not verified has changed nothing: the vault is sealed, or the rekey cancelled, and the old shares open it.
func TestUnverifiedRekeyChangesNothing(t *testing.T) {
	v := testenv.Start(t, nil)
	for _, end := range []func(){
		func() {
			if err := v.Sys().RekeyCancel(); err != nil {
				t.Fatal(err)
			}
		},
		func() {},
	} {
		begun := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1, RequireVerification: true}))
		var dealt *vault.RekeyUpdateResponse
		for _, share := range v.Shares[:testenv.Threshold] {
			dealt = must[*vault.RekeyUpdateResponse](t)(v.Sys().RekeyUpdate(share, begun.Nonce))
		}
		end()
		if opens(t, v, v.Shares[:testenv.Threshold], dealt.Keys) {
			t.Error("shares that were not verified open the vault")
		}
		if s := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyStatus()); s.Started {
			t.Errorf("still under way: %+v", s)
		}
	}
}

// Without a token nobody begins, sees or ends anything: elsewhere that was CVE-2026-5807.
func TestNeedsATokenOrAShare(t *testing.T) {
	v := testenv.Start(t, nil)
	weak := v.NewClient(v.Policy("weak", `path "sys/rekey/init" { capabilities = ["read", "update", "delete"] }
path "sys/generate-root/attempt" { capabilities = ["read", "update", "delete"] }`)) // and no sudo
	begun := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1}))
	root := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit("", ""))
	for name, c := range map[string]*vault.Client{"nobody": v.NewClient(""), "no sudo": weak} {
		_, err := c.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1})
		wantError(t, name+" begins a rekey", err, 403, "")
		_, err = c.Sys().RekeyStatus()
		wantError(t, name+" looks at a rekey", err, 403, "")
		wantError(t, name+" cancels a rekey", c.Sys().RekeyCancel(), 403, "")
		_, err = c.Sys().GenerateRootInit("", "")
		wantError(t, name+" begins a root token", err, 403, "one of the shares")
		wantError(t, name+" cancels a root token", c.Sys().GenerateRootCancel(), 403, "")
		s := must[*vault.GenerateRootStatusResponse](t)(c.Sys().GenerateRootStatus())
		if !s.Started || s.Nonce != "" {
			t.Errorf("%s sees %+v", name, s)
		}
		for _, path := range []string{"sys/seals", "sys/rekey/backup"} {
			_, err := c.Logical().Read(path)
			wantError(t, name+" reads "+path, err, 403, "")
		}
	}
	if s := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyStatus()); s.Nonce != begun.Nonce {
		t.Error("the rekey was changed")
	}
	if s := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootStatus()); s.Nonce != root.Nonce {
		t.Error("the root token was changed")
	}
	wantError(t, "cancel with another nonce", v.Sys().RekeyCancelWithNonce("x"), 400, "incorrect nonce")
	for range 2 { // nothing to cancel is no error
		if err := v.Sys().RekeyCancelWithNonce(begun.Nonce); err != nil {
			t.Error(err)
		}
		if err := v.Sys().GenerateRootCancel(); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusesPlans(t *testing.T) {
	v := testenv.Start(t, nil)
	for name, c := range map[string]struct {
		in  vault.RekeyInitRequest
		say string
	}{
		"one of many":         {vault.RekeyInitRequest{SecretShares: 3, SecretThreshold: 1}, "alone"},
		"too many":            {vault.RekeyInitRequest{SecretShares: 256, SecretThreshold: 3}, "255"},
		"negative":            {vault.RekeyInitRequest{SecretShares: -1, SecretThreshold: -1}, "255"},
		"backup of plain":     {vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1, Backup: true}, "backup"},
		"keybase":             {vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1, PGPKeys: []string{"keybase:ann"}}, "not looked up"},
		"fewer keys":          {vault.RekeyInitRequest{SecretShares: 2, SecretThreshold: 2, PGPKeys: []string{"x"}}, "1 recipients"},
		"garbage for a key":   {vault.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1, PGPKeys: []string{"%"}}, "neither"},
		"threshold too large": {vault.RekeyInitRequest{SecretShares: 2, SecretThreshold: 3}, "threshold"},
	} {
		_, err := v.Sys().RekeyInit(&c.in)
		wantError(t, name, err, 400, c.say)
	}
	_, err := v.Sys().GenerateRootInit("too short", "")
	wantError(t, "a short one-time pad", err, 400, "wrong length")
	_, err = v.Logical().Write("sys/decode-token", map[string]any{"encoded_token": "AAAA", "otp": "xxx"})
	wantError(t, "another pad", err, 400, "is not that of")
	_, err = v.Logical().Write("sys/decode-token", nil)
	wantError(t, "no pad", err, 400, "do not belong together")
	_, err = v.Sys().GenerateRootInit("x", "y")
	wantError(t, "two veils", err, 400, "one of")
	_, err = v.Sys().GenerateRootUpdate(v.Shares[0], "x")
	wantError(t, "a share for nothing", err, 400, "no root generation")
	_, err = v.Sys().RekeyUpdate(v.Shares[0], "x")
	wantError(t, "a share for nothing", err, 400, "no rekey")
	_, err = v.Sys().RekeyRetrieveBackup()
	wantError(t, "no backup", err, 400, "no backed-up keys")
}

// decrypt reads what is shown in base64 for an age recipient.
func decrypt(t *testing.T, id age.Identity, text string) string {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(must[[]byte](t)(base64.StdEncoding.DecodeString(text))), id)
	if err != nil {
		t.Fatal(err)
	}
	return string(must[[]byte](t)(io.ReadAll(r)))
}

// Shares for recipients: each reads one, as text that opens the vault; the backup has the same.
func TestRekeyForRecipients(t *testing.T) {
	v := testenv.Start(t, nil)
	one, two := must[*age.X25519Identity](t)(age.GenerateX25519Identity()), must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	begun := must[*vault.Secret](t)(v.Logical().Write("sys/rekey/init", map[string]any{
		"secret_shares": 2, "secret_threshold": 2, "Backup": true, "age_recipients": []string{one.Recipient().String(), two.Recipient().String()},
	}))
	var dealt *vault.RekeyUpdateResponse
	for _, share := range v.Shares[:testenv.Threshold] {
		dealt = must[*vault.RekeyUpdateResponse](t)(v.Sys().RekeyUpdate(share, begun.Data["nonce"].(string)))
	}
	if !slices.Equal(dealt.PGPFingerprints, []string{one.Recipient().String(), two.Recipient().String()}) || !dealt.Backup {
		t.Errorf("for %v, backup %v", dealt.PGPFingerprints, dealt.Backup)
	}
	shares := []string{decrypt(t, one, dealt.KeysB64[0]), decrypt(t, two, dealt.KeysB64[1])}
	backup := must[*vault.RekeyRetrieveResponse](t)(v.Sys().RekeyRetrieveBackup())
	if got := backup.KeysB64[two.Recipient().String()]; len(got) != 1 || got[0] != dealt.KeysB64[1] || backup.Nonce != dealt.Nonce {
		t.Errorf("backup for two: %d", len(got))
	}
	if err := v.Sys().RekeyDeleteBackup(); err != nil {
		t.Error(err)
	}
	_, err := v.Sys().RekeyRetrieveRecoveryBackup()
	wantError(t, "a backup that was deleted", err, 400, "no backed-up keys")
	if !opens(t, v, nil, shares) {
		t.Error("what the recipients read does not open the vault")
	}
}

// The backup is of the shares that open the vault: those that were never verified do not take its place.
func TestBackupIsOfSharesThatOpen(t *testing.T) {
	v := testenv.Start(t, nil)
	id := must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	shares := v.Shares[:testenv.Threshold]
	deal := func(verify bool) (dealt *vault.RekeyUpdateResponse) {
		begun := must[*vault.Secret](t)(v.Logical().Write("sys/rekey/init", map[string]any{
			"secret_shares": 1, "secret_threshold": 1, "backup": true, "age_recipients": []string{id.Recipient().String()}, "require_verification": verify,
		}))
		for _, share := range shares {
			dealt = must[*vault.RekeyUpdateResponse](t)(v.Sys().RekeyUpdate(share, begun.Data["nonce"].(string)))
		}
		return dealt
	}
	backup := func() string {
		return must[*vault.RekeyRetrieveResponse](t)(v.Sys().RekeyRetrieveBackup()).KeysB64[id.Recipient().String()][0]
	}
	first := deal(false)
	shares = []string{decrypt(t, id, first.KeysB64[0])}
	second := deal(true)
	if backup() != first.KeysB64[0] {
		t.Error("shares that open nothing have taken the place of the backup")
	}
	done := must[*vault.RekeyVerificationUpdateResponse](t)(v.Sys().RekeyVerificationUpdate(decrypt(t, id, second.KeysB64[0]), second.VerificationNonce))
	if !done.Complete || backup() != second.KeysB64[0] {
		t.Error("the shares that open the vault now have no backup")
	}
}

// root does generate-root by shares, and returns the token.
func root(t *testing.T, v *testenv.Vault, c *vault.Client, begun *vault.GenerateRootStatusResponse, otp string) string {
	t.Helper()
	var last *vault.GenerateRootStatusResponse
	for _, share := range v.Shares[:testenv.Threshold] {
		last = must[*vault.GenerateRootStatusResponse](t)(c.Sys().GenerateRootUpdate(share, begun.Nonce))
	}
	if !last.Complete || last.EncodedRootToken != last.EncodedToken || last.Progress != testenv.Threshold {
		t.Fatalf("complete=%v progress=%d", last.Complete, last.Progress)
	}
	raw := must[[]byte](t)(base64.RawStdEncoding.DecodeString(last.EncodedToken))
	if len(raw) != len(otp) {
		t.Fatalf("%d bytes for %d of the pad", len(raw), len(otp))
	}
	subtle.XORBytes(raw, raw, []byte(otp))
	decoded := must[*vault.Secret](t)(c.Logical().Write("sys/decode-token", map[string]any{"encoded_token": last.EncodedToken, "otp": otp}))
	if decoded.Data["token"] != string(raw) {
		t.Error("the server reads something else")
	}
	return string(raw)
}

// A share that is given again, for a root token, a rekey or its verification, is said to be the same, and counts once.
func TestTwiceIsSaid(t *testing.T) {
	v := testenv.Start(t, nil)
	give := func(path, nonce string, share string, progress string, again bool) {
		t.Helper()
		s := must[*vault.Secret](t)(v.Logical().Write(path, map[string]any{"key": share, "nonce": nonce}))
		if fmt.Sprint(s.Data["progress"]) != progress {
			t.Errorf("%s: progress %v, not %s", path, s.Data["progress"], progress)
		}
		if said := strings.Contains(strings.Join(s.Warnings, " "), "counts once"); said != again {
			t.Errorf("%s: it warns of %q", path, s.Warnings)
		}
	}
	begun := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit("", ""))
	give("sys/generate-root/update", begun.Nonce, v.Shares[0], "1", false)
	give("sys/generate-root/update", begun.Nonce, v.Shares[0], "1", true)
	rekey := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 3, SecretThreshold: 2, RequireVerification: true}))
	give("sys/rekey/update", rekey.Nonce, v.Shares[0], "1", false)
	give("sys/rekey/update", rekey.Nonce, v.Shares[0], "1", true)
	var dealt *vault.RekeyUpdateResponse
	for _, share := range v.Shares[1:testenv.Threshold] {
		dealt = must[*vault.RekeyUpdateResponse](t)(v.Sys().RekeyUpdate(share, rekey.Nonce))
	}
	give("sys/rekey/verify", dealt.VerificationNonce, dealt.Keys[0], "1", false)
	give("sys/rekey/verify", dealt.VerificationNonce, dealt.Keys[0], "1", true)
}

// A root token by shares of people none of whom has a token works with the official client, and is the
// one thing that comes of it.
func TestGenerateRoot(t *testing.T) {
	v := testenv.Start(t, nil)
	nobody := v.NewClient("")
	begun := must[*vault.Secret](t)(nobody.Logical().Write("sys/generate-root/attempt", map[string]any{"key": v.Shares[4]}))
	nonce, otp := begun.Data["nonce"].(string), begun.Data["otp"].(string)
	token := root(t, v, nobody, &vault.GenerateRootStatusResponse{Nonce: nonce}, otp)
	self := must[*vault.Secret](t)(v.NewClient(token).Auth().Token().LookupSelf())
	if p := must[[]string](t)(self.TokenPolicies()); !slices.Equal(p, []string{"root"}) {
		t.Errorf("policies %v", p)
	}
	if s := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootStatus()); s.Started || s.OTPLength != len(otp) {
		t.Errorf("afterwards: %+v", s)
	}
	_, err := nobody.Sys().GenerateRootUpdate(v.Shares[0], nonce)
	wantError(t, "the same again", err, 400, "no root generation")

	// By the official client, with a pad of its own; a wrong share spoils nothing.
	own := strings.Repeat("7", len(otp))
	mine := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit(own, ""))
	if mine.OTP != "" {
		t.Error("the pad was given back")
	}
	raw := must[[]byte](t)(hex.DecodeString(v.Shares[0]))
	raw[7] ^= 1
	_, err = nobody.Sys().GenerateRootUpdate(hex.EncodeToString(raw), mine.Nonce)
	wantError(t, "a mistyped share", err, 400, "no share of the set")
	if _, err := v.NewClient(root(t, v, nobody, mine, own)).Sys().ListMounts(); err != nil {
		t.Error(err)
	}
	// A mistyped share begins nothing either.
	_, err = nobody.Logical().Write("sys/generate-root/attempt", map[string]any{"key": hex.EncodeToString(raw)})
	wantError(t, "begun by a mistyped share", err, 400, "no share of the set")
}

func TestGenerateRootForARecipient(t *testing.T) {
	v := testenv.Start(t, nil)
	id := must[*age.X25519Identity](t)(age.GenerateX25519Identity())
	begun := must[*vault.Secret](t)(v.Logical().Write("sys/generate-root/attempt", map[string]any{"age_recipient": id.Recipient().String()}))
	if begun.Data["pgp_fingerprint"] != id.Recipient().String() || begun.Data["otp"] != "" {
		t.Errorf("%v", begun.Data["pgp_fingerprint"])
	}
	var last *vault.GenerateRootStatusResponse
	for _, share := range v.Shares[:testenv.Threshold] {
		last = must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootUpdate(share, begun.Data["nonce"].(string)))
	}
	if _, err := v.NewClient(decrypt(t, id, last.EncodedToken)).Sys().ListMounts(); err != nil {
		t.Error(err)
	}
}

// Sealing drops what people have given.
func TestSealingEndsIt(t *testing.T) {
	v := testenv.Start(t, nil)
	begun := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit("", ""))
	must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootUpdate(v.Shares[0], begun.Nonce))
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	v.Unseal()
	if s := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootStatus()); s.Started || s.Progress != 0 {
		t.Errorf("%+v", s)
	}
}

// Nothing of shares, one-time pads, nonces and tokens is in the log, in the audit log in the clear, or in an error.
func TestCanaries(t *testing.T) {
	v := testenv.Start(t, nil)
	secrets := map[string]string{}
	for i, s := range v.Shares {
		secrets["share in hex "+string(rune('1'+i))] = s
		secrets["share in base64 "+string(rune('1'+i))] = base64.StdEncoding.EncodeToString(must[[]byte](t)(hex.DecodeString(s)))
	}
	begun := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit("", ""))
	secrets["pad"], secrets["nonce of the root token"] = begun.OTP, begun.Nonce
	secrets["root token"] = root(t, v, v.NewClient(""), begun, begun.OTP)
	re := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 2, SecretThreshold: 2, RequireVerification: true}))
	secrets["nonce of the rekey"] = re.Nonce
	var dealt *vault.RekeyUpdateResponse
	for _, share := range v.Shares[:testenv.Threshold] {
		dealt = must[*vault.RekeyUpdateResponse](t)(v.Sys().RekeyUpdate(share, re.Nonce))
	}
	secrets["nonce of the verification"] = dealt.VerificationNonce
	for i, s := range dealt.Keys {
		n := string(rune('1' + i))
		secrets["new share in hex "+n], secrets["new share in base64 "+n] = s, dealt.KeysB64[i]
		must[*vault.RekeyVerificationUpdateResponse](t)(v.Sys().RekeyVerificationUpdate(s, dealt.VerificationNonce))
	}
	_, err := v.Sys().RekeyUpdate(v.Shares[0], re.Nonce)
	said := v.Log.String() + err.Error()
	audit := must[[]byte](t)(os.ReadFile(filepath.Join(v.Config.DataDir, "audit", "audit.log")))
	for _, want := range []string{"sys/generate-root/update", "sys/rekey/verify", "sys/rekey/init"} {
		if !bytes.Contains(audit, []byte(want)) {
			t.Errorf("%s is not audited", want)
		}
	}
	if !strings.Contains(said, "a root token was made by shares") {
		t.Error("the log does not tell of the root token")
	}
	for name, s := range secrets {
		if len(s) < 8 {
			t.Fatalf("no %s", name)
		}
		if strings.Contains(said, s) {
			t.Errorf("%s is in the log or an error", name)
		}
		if bytes.Contains(audit, []byte(s)) {
			t.Errorf("%s is in the audit log", name)
		}
	}
}

// The key service is gone, and the shares open the vault; a new key takes its place without a restart; the
// old one is forgotten. What opens the vault, and what does not work, is told.
func TestKeysComeAndGo(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		must[*keyfile.Key](t)(keyfile.Generate(path))
		return path
	}
	current := []unseal.Config{{Name: "old", KeyFile: file("old")}}
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Seals = current
		c.Reread = func() (app.ServerConfig, error) { return app.ServerConfig{Seals: current}, nil }
	})
	list := func() map[string]map[string]any {
		s := must[*vault.Secret](t)(v.Logical().Read("sys/seals"))
		all := map[string]map[string]any{}
		for _, one := range s.Data["seals"].([]any) {
			one := one.(map[string]any)
			all[one["name"].(string)] = one
		}
		return all
	}
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); s.Type != "keyfile" || !s.RecoverySeal || s.N != testenv.Shares {
		t.Errorf("%+v", s)
	}
	current = []unseal.Config{{Name: "new", KeyFile: file("new")}, {Name: "broken", KeyFile: filepath.Join(dir, "none")}}
	if _, err := v.Logical().Write("sys/seals/migrate", nil); err != nil {
		t.Fatal(err)
	}
	all := list()
	if all["new"]["works"] != true || all["new"]["wrapped"] != true || all["old"]["configured"] != false || all["old"]["last_worked"] == nil || all["shamir"] == nil {
		t.Errorf("%v", all)
	}
	metrics := v.HTTP(http.MethodGet, "sys/metrics", nil).Body
	for _, want := range []string{`strongkeep_seal_works{name="new"} 1`, `strongkeep_seal_works{name="broken"} 0`, `strongkeep_seal_last_worked_timestamp_seconds{name="old"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	v.Config.Seals = current
	v.Restart() // opens by the new key
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); s.Sealed {
		t.Fatal("the new key does not open the vault")
	}
	_, err := v.Logical().Delete("sys/seals/new")
	wantError(t, "forgetting what is in use", err, 400, "configuration")
	_, err = v.Logical().Delete("sys/seals/shamir")
	wantError(t, "forgetting the shares", err, 400, "rekey")
	if _, err := v.Logical().Delete("sys/seals/old"); err != nil {
		t.Fatal(err)
	}
	if list()["old"] != nil {
		t.Error("the old key is still there")
	}
	_, err = v.Logical().Delete("sys/seals/old")
	wantError(t, "forgetting again", err, 404, "")

	// All keys are gone: people open it.
	v.Config.Seals = []unseal.Config{{Name: "other", KeyFile: file("other")}}
	v.Restart()
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); !s.Sealed {
		t.Fatal("a key that it never knew opens the vault")
	}
	v.Unseal()
	if _, err := v.Sys().ListMounts(); err != nil {
		t.Error(err)
	}
}
