package api_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// TestMain has this test binary be strongkeep, too, for the example.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}

// The example works as it stands.
func TestExample(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("SKIPPED: no sh is installed, which runs the example")
	}
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "../../../../examples/vault/identity.sh")
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "together") {
		t.Errorf("%v\n%s", err, out)
	}
}
