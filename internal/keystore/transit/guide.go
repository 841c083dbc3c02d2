package transit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Turn implements keystore.Turner. The login needs update on keys/NAME/rotate.
func (k *Key) Turn(ctx context.Context) error {
	path := k.path() + "/rotate"
	_, err := k.call(ctx, "writing "+path, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		answer, err := c.Logical().WriteBytesWithContext(ctx, path, []byte("{}"))
		if err == nil && (answer == nil || answer.Data == nil) {
			answer = &api.Secret{Data: map[string]any{}} // as vaults did that told nothing of it
		}
		return answer, err
	})
	if errs.Is(err, errs.Denied) {
		return errs.Newf(errs.Denied, "%w: the login's policy needs path %q { capabilities = [\"update\"] }", err, path)
	}
	return err
}

func (k *Key) path() string { return k.settings.Mount + "/keys/" + k.settings.Key }

// shell begins a command that writes in the namespace of the key.
func (k *Key) shell(flags string) string {
	text := "strongkeep write"
	if flags != "" {
		text += " " + flags
	}
	if k.settings.Namespace != "" {
		text += " -namespace=" + k.settings.Namespace
	}
	return text + " -address=" + k.settings.Address + " "
}

// Next implements keystore.Guide.
func (k *Key) Next(keystore.History) []string { return []string{k.shell("-f") + k.path() + "/rotate"} }

// Retire implements keystore.Guide. The version before goes with it: the vault knows a
// least version only.
func (k *Key) Retire(version string) []string {
	n, err := strconv.ParseUint(version, 10, 31)
	if err != nil {
		return []string{fmt.Sprintf("%q is no version of a transit key", version)}
	}
	return []string{fmt.Sprintf("%s%s/config min_decryption_version=%d", k.shell(""), k.path(), n+1)}
}
