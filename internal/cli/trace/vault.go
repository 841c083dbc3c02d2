package trace

import (
	"context"
	"strings"

	vault "github.com/hashicorp/vault/api"
)

// readVault reads a path as people write it: of KV version 2 without its data/. It
// returns nil if nothing is there.
func readVault(ctx context.Context, c *vault.Logical, at string) (map[string]any, error) {
	at = strings.Trim(at, "/")
	about, err := c.ReadWithContext(ctx, "sys/internal/ui/mounts/"+at)
	if err != nil {
		return nil, err
	}
	second := false
	if about != nil {
		mount, _ := about.Data["path"].(string)
		options, _ := about.Data["options"].(map[string]any)
		second = options["version"] == "2"
		if rest, ok := strings.CutPrefix(at+"/", mount); ok && second && mount != "" {
			at = mount + "data/" + strings.TrimPrefix(strings.TrimSuffix(rest, "/"), "data/")
		}
	}
	got, err := c.ReadWithContext(ctx, at)
	if err != nil || got == nil {
		return nil, err
	}
	if inner, ok := got.Data["data"].(map[string]any); ok && second {
		return inner, nil
	}
	if second {
		return nil, nil // deleted
	}
	return got.Data, nil
}
