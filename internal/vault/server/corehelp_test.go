package server_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// ?help=1 answers for the paths that bypass the gate, too: before there is a
// vault, without a token, and without doing what the path does.
func TestHelpOfCorePaths(t *testing.T) {
	v := testenv.New(t, nil)
	for path, want := range map[string]string{
		"sys/init": "secret_threshold (integer)", "sys/unseal": "One share", "sys/seal-status": "Whether the vault is sealed",
		"sys/health": "sealedcode", "sys/leader": "Which node is active", "sys/health/": "sealedcode",
	} {
		for _, method := range []string{"GET", "PUT", "POST"} {
			a := send(v, method, path+"?help=1", `{"secret_shares":1,"secret_threshold":1}`, "X-Vault-Token", "")
			help, _ := object(t, a)["help"].(string)
			if a.Status != 200 || !strings.Contains(help, want) || !strings.Contains(help, "Path:        "+strings.TrimSuffix(path, "/")) {
				t.Errorf("%s %s: %d, %q", method, path, a.Status, help)
			}
		}
	}
	if done, err := v.Sys().InitStatus(); err != nil || done {
		t.Fatalf("asking what sys/init is for made a vault: %v, %v", done, err)
	}
	if a := send(v, "GET", "sys/seal-status?help=0", "", "X-Vault-Token", ""); object(t, a)["help"] != nil {
		t.Error("help=0 asks for no help")
	}
}
