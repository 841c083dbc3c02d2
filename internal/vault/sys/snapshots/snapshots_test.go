package snapshots_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
)

// The official client saves a snapshot, believes that it is whole, and is told why it
// does not restore it.
func TestOfficialClient(t *testing.T) {
	v := testenv.Start(t, nil)
	var file bytes.Buffer
	if err := v.Sys().RaftSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(file.Bytes())
	in, err := snapshot.Unwrap(&file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := snapshot.Check(t.Context(), in)
	if err != nil || !info.Signed() || info.Folders["core/"] < 3 {
		t.Fatal(info, err)
	}
	keys := v.Server.Gate().Barrier().Keyring()
	if err := info.Authenticate(keys); err != nil {
		t.Error(err)
	}
	for _, force := range []bool{false, true} {
		if err := v.Sys().RaftSnapshotRestore(bytes.NewReader(whole), force); err == nil || !strings.Contains(err.Error(), "into an empty store") {
			t.Errorf("force %v: %v", force, err)
		}
	}
	if _, err := v.Logical().Write("sys/storage/snapshots/verify", map[string]any{"sha256": info.SHA256(), "mac": info.MAC()}); err != nil {
		t.Error(err)
	}
	other := strings.Repeat("0", 64)
	if _, err := v.Logical().Write("sys/storage/snapshots/verify", map[string]any{"sha256": other, "mac": info.MAC()}); err == nil {
		t.Error("the vault says that it signed what it did not")
	}
}

// Nobody saves a snapshot without sudo, or while the vault is sealed.
func TestNotForEverybody(t *testing.T) {
	v := testenv.Start(t, nil)
	if err := v.Sys().PutPolicy("reader", `path "sys/storage/raft/snapshot" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	made, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) int {
		answer, err := v.NewClient(token).Logical().ReadRawWithContext(context.Background(), "sys/storage/raft/snapshot")
		if answer == nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK && bytes.Contains(body, []byte("SKSNAPSH")) {
			t.Error("a refusal has a snapshot in it")
		}
		return answer.StatusCode
	}
	if got := ask(made.Auth.ClientToken); got != 403 {
		t.Errorf("without sudo: %d", got)
	}
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	if got := ask(v.Root); got != 503 {
		t.Errorf("sealed: %d", got)
	}
}
