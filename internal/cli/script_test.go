package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

// The scripts below testdata/script are the command line's specification: each
// runs the real commands against a real server.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"field": field, "privatefile": privateFile,
		},
	})
}

// setup gives every script a server of its own: initialised and unsealed with
// kv at secret/, or new if the script's name begins with "init".
func setup(e *testscript.Env) error {
	t := e.T().(testing.TB)
	var v *testenv.Vault
	if strings.HasPrefix(filepath.Base(e.WorkDir), "script-init") {
		v = testenv.New(t, nil)
	} else {
		users := &leasetest.Database{} // "lease-test", an engine whose creds/ROLE gives leases; of the role stuck they cannot be ended
		users.Fail(func(op, role string) error {
			if op == "drop" && role == "stuck" {
				return errs.New(errs.Unavailable, "the database is away")
			}
			return nil
		})
		v = testenv.Start(t, func(c *app.ServerConfig) { c.Engines = map[string]engine.Factory{"lease-test": users.Factory} })
		if _, err := v.Logical().Write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}); err != nil {
			return err
		}
		e.Setenv("VAULT_TOKEN", v.Root)
	}
	e.Setenv("VAULT_ADDR", v.Server.URL())
	e.Setenv("VAULT_CACERT", v.Server.CAFile())
	e.Setenv("VAULT_MAX_RETRIES", "0")
	e.Setenv("GORACE", "atexit_sleep_ms=10") // a race build sleeps a second at the end of each command
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("AUDIT_LOG", v.AuditFile())
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	e.Setenv("EXAMPLES", examples)
	return err
}

// field sets a variable to what stands behind a label in the last output:
// field TOKEN token
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field VARIABLE LABEL")
	}
	for line := range strings.SplitSeq(ts.ReadFile("stdout"), "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), args[1]); ok {
			ts.Setenv(args[0], strings.TrimSpace(strings.TrimPrefix(rest, ":")))
			return
		}
	}
	ts.Fatalf("no line begins with %q", args[1])
}

// privatefile checks that a file can be read by its owner only.
func privateFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: privatefile FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if info.Mode().Perm()&0o077 != 0 {
		ts.Fatalf("%s has mode %v", args[0], info.Mode().Perm())
	}
}
