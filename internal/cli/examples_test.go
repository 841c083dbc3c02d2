package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The examples that need nothing but a server work as they stand, and leave
// nothing behind. Those that need a database or a cluster run in the tests of
// their engine or method.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("SKIPPED: no sh is installed, which runs the examples")
	}
	v := testenv.Start(t, nil)
	for _, name := range []string{"approle", "cert", "cubbyhole", "jwt", "kv", "token", "userpass"} {
		t.Run(name, func(t *testing.T) {
			before := mounts(t, v)
			cmd := exec.CommandContext(t.Context(), "sh", filepath.Join("..", "..", "examples", "vault", name+".sh"))
			cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile(), "GORACE=atexit_sleep_ms=10")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if after := mounts(t, v); after != before {
				t.Errorf("%d mounts before, %d after", before, after)
			}
		})
	}
}

// mounts counts engines and methods.
func mounts(t *testing.T, v *testenv.Vault) int {
	t.Helper()
	engines, err := v.Sys().ListMounts()
	if err != nil {
		t.Fatal(err)
	}
	methods, err := v.Sys().ListAuth()
	if err != nil {
		t.Fatal(err)
	}
	return len(engines) + len(methods)
}
