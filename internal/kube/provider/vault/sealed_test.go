package vault

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Who reads a condition that says that the vault is sealed learns what to do.
func TestSealedSaysWhatToDo(t *testing.T) {
	err := classify(&api.ResponseError{StatusCode: http.StatusServiceUnavailable, Errors: []string{"Vault is sealed"}}, "reading x")
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "Vault is sealed: unseal it (strongkeep operator unseal)") {
		t.Error(err)
	}
}
