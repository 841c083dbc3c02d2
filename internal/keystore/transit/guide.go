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

// Retire implements keystore.Guide. The vault knows a least version only: one command is
// enough, and those of older versions would bring back what it took away.
func (k *Key) Retire(old []string, _ string) [][]string {
	all := make([][]string, len(old))
	last := len(old) - 1
	for i, version := range old {
		n, err := strconv.ParseUint(version, 10, 31)
		switch {
		case err != nil:
			all[i] = []string{fmt.Sprintf("%q is no version of a transit key", version)}
		case i < last:
			all[i] = []string{"nothing: it goes with version " + old[last]}
		default:
			all[i] = []string{fmt.Sprintf("%s%s/config min_decryption_version=%d", k.shell(""), k.path(), n+1)}
		}
	}
	return all
}
