package evidence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	vault "github.com/hashicorp/vault/api"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The example calls the command line as it is found in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}

func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("evidence", &vault.MountInput{Type: "evidence"}); err != nil {
		t.Fatal(err)
	}
	return v
}

func write(c *vault.Client, path string, turn int, statement any) (*vault.Secret, error) {
	return c.Logical().Write("evidence/"+path, map[string]any{"turn": turn, "statement": statement})
}

// raw returns a member of an answer as JSON. What was signed is in base64, so
// that a client that decodes and encodes again loses nothing.
func raw(t *testing.T, s *vault.Secret, member string) []byte {
	t.Helper()
	if s == nil {
		t.Fatal("no answer")
	}
	b, err := json.Marshal(s.Data[member])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The official client appends and reads; a policy of create alone appends and does
// no more; a restart keeps chain and key; auditors verify offline.
func TestOfficialClient(t *testing.T) {
	v := start(t)
	may := v.Policy("operator", `path "evidence/statements/shop/*" { capabilities = ["create"] }`)
	operator := v.NewClient(may)
	for turn := 1; turn <= 2; turn++ {
		if _, err := write(operator, "statements/shop/db", turn, map[string]any{"turn": turn, "text": "<&>\u2028"}); err != nil {
			t.Fatal(err)
		}
	}
	v.Restart() // on another port
	v.Unseal()
	operator = v.NewClient(may)
	auditor := v.NewClient(v.Policy("auditor", `path "evidence/statements/*" { capabilities = ["read", "list"] }
path "evidence/keys" { capabilities = ["read"] }`))
	if _, err := write(operator, "statements/shop/db", 3, map[string]any{"turn": 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := write(operator, "statements/other/db", 1, map[string]any{}); !isStatus(err, 403) {
		t.Errorf("a statement elsewhere: %v", err)
	}
	if _, err := operator.Logical().Read("evidence/statements/shop/db"); !isStatus(err, 403) {
		t.Errorf("the operator reads: %v", err)
	}
	if _, err := write(auditor, "statements/shop/db", 4, map[string]any{}); !isStatus(err, 403) {
		t.Errorf("the auditor writes: %v", err)
	}
	if _, err := write(operator, "statements/shop/db", 3, map[string]any{"turn": 4}); !isStatus(err, 400) {
		t.Errorf("another statement of the turn: %v", err)
	}
	if _, err := v.Client.Logical().Delete("evidence/statements/shop/db/1"); !isStatus(err, 405) {
		t.Errorf("root deletes: %v", err)
	}

	s, err := auditor.Logical().Read("evidence/keys")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := attest.ParseKeys([]byte(s.Data["public_keys"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	listed, err := auditor.Logical().List("evidence/statements/shop/db")
	if err != nil {
		t.Fatal(err)
	}
	var envelopes [][]byte
	for _, turn := range listed.Data["keys"].([]any) {
		s, err := auditor.Logical().Read(fmt.Sprintf("evidence/statements/shop/db/%s", turn))
		if err != nil {
			t.Fatal(err)
		}
		envelopes = append(envelopes, raw(t, s, "envelope"))
	}
	chain, err := attest.VerifyChain(keys, envelopes)
	if err != nil || len(chain) != 3 {
		t.Fatal(len(chain), err)
	}
	if by := chain[2].By; !strings.HasPrefix(by.DisplayName, "token") || by.Accessor == "" {
		t.Errorf("by %+v", by)
	}
}

func isStatus(err error, status int) bool {
	var e *vault.ResponseError
	return errors.As(err, &e) && e.StatusCode == status
}

// Writers of one name at the same time make one chain; each turn has one statement.
func TestConcurrentAppends(t *testing.T) {
	v := start(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for turn := 1; turn <= 10; turn++ {
				_, err := write(v.Client, "statements/shop/db", turn, map[string]any{"turn": turn})
				if err != nil && !strings.Contains(err.Error(), "too late") {
					t.Errorf("writer %d, turn %d: %v", i, turn, err)
				}
			}
		})
	}
	wg.Wait()
	s, err := v.Client.Logical().Read("evidence/keys")
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := attest.ParseKeys([]byte(s.Data["public_keys"].(string)))
	var envelopes [][]byte
	for turn := 1; turn <= 10; turn++ {
		s, err := v.Client.Logical().Read(fmt.Sprintf("evidence/statements/shop/db/%d", turn))
		if err != nil {
			t.Fatal(err)
		}
		if s != nil { // a faster writer may have gone ahead
			envelopes = append(envelopes, raw(t, s, "envelope"))
		}
	}
	chain, err := attest.VerifyChain(keys, envelopes)
	if err != nil || len(chain) == 0 || chain[0].Seq != 1 || chain[len(chain)-1].Turn != 10 {
		t.Errorf("%d statements, %v", len(chain), err)
	}
}

// Unmounting is the one way to be rid of statements; what is mounted anew is
// another log with another key.
func TestUnmount(t *testing.T) {
	v := start(t)
	log := func() any {
		s, err := v.Client.Logical().Read("evidence/keys")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s.Data["log"], s.Data["current_id"])
	}
	if _, err := write(v.Client, "statements/shop/db", 1, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	before := log()
	if err := v.Sys().Unmount("evidence"); err != nil {
		t.Fatal(err)
	}
	if err := v.Sys().Mount("evidence", &vault.MountInput{Type: "evidence"}); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Client.Logical().Read("evidence/statements/shop/db"); err != nil || s != nil {
		t.Errorf("%v, %v", s, err)
	}
	if log() == before {
		t.Error("the new log has the old one's name or key")
	}
}

func TestExample(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("SKIPPED: no sh is installed, which runs the example")
	}
	v := testenv.Start(t, nil)
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join("..", "..", "..", "..", "examples", "vault", "evidence.sh"))
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
