package awskms_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// A vault unseals by AWS KMS, also when its key was turned, and not by a key that is
// disabled; shares open it then.
func TestUnseal(t *testing.T) {
	aws := awstest.New(t)
	first := aws.AddKMSKey("")
	aws.SetAlias("alias/unseal/1", first)
	raw, err := json.Marshal(map[string]any{"awskms": withAlias(settings(t, aws), "alias/unseal")})
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, string(raw))
	v := testenv.Start(t, func(c *app.ServerConfig) { c.UnsealKeyStore, c.Storage = path, "pebble" })
	sealed := func() bool {
		t.Helper()
		status, err := v.Sys().SealStatus()
		if err != nil {
			t.Fatal(err)
		}
		if status.Type != "awskms" {
			t.Errorf("the seal is of type %q", status.Type)
		}
		return status.Sealed
	}
	aws.SetAlias("alias/unseal/2", aws.AddKMSKey(""))
	if v.Restart(); sealed() {
		t.Fatal("the vault does not open by AWS KMS")
	}
	aws.SetKMSState(first, "Disabled")
	if v.Restart(); !sealed() {
		t.Fatal("the vault opens by a key that is disabled")
	}
	if log := v.Log.String(); !strings.Contains(log, "enable-key") || strings.Contains(log, "canary") {
		t.Error("nobody is told to enable the key, or a secret is told")
	}
	if v.Unseal(); sealed() {
		t.Fatal("shares do not open the vault")
	}
}
