package rotation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// provided is where, in the mount of a manual target, a new key for its path
// waits to be staged; docs/rotation/manual.md has the contract.
const provided = "strongkeep-provided/%s"

// provide writes a new key with the person's own token: the operator takes it
// from there. It never stands on a command line unless the person puts it there.
func (x *commands) provide() *cobra.Command {
	c := &cobra.Command{
		Use: "provide NAME PROPERTY=VALUE…", Short: "Hand over a key that only a person can make (manual targets)", ValidArgsFunction: x.complete,
		Args: func(_ *cobra.Command, given []string) error {
			if len(given) == 0 {
				return errs.New(errs.Invalid, "which Rotation? Give its NAME, then PROPERTY=-, PROPERTY=@FILE or PROPERTY to be asked")
			}
			return nil
		},
		Long: `Hand over a new key for a Rotation of kind manual. Values are read as with kv put: PROPERTY=-
from standard input, PROPERTY=@FILE from a file, PROPERTY alone is asked for without echo.

The value goes to the vault (VAULT_ADDR, VAULT_TOKEN), to a place that consumers do not read,
and from there, by the operator, to where they do. Properties of the old value that it does not name stay.`,
		Example: "  strongkeep rotation provide -n shop payment-key api_key=@new-key.txt",
		RunE: func(c *cobra.Command, given []string) error {
			_, r, err := x.get(c.Context(), given[0])
			if err != nil {
				return err
			}
			if r.Spec.Target.Manual == nil {
				return errs.Newf(errs.Invalid, "%s is not of kind manual: the operator makes its new credentials itself", what(r))
			}
			if len(given) == 1 {
				return errs.New(errs.Invalid, "no property is given: write PROPERTY=-, PROPERTY=@FILE, or PROPERTY to be asked for it")
			}
			values, err := x.Values(given[1:], session.AnyKey)
			if err != nil {
				return err
			}
			return x.handOver(c.Context(), r, values)
		},
	}
	x.flags.Add(c.Flags())
	return c
}

func (x *commands) handOver(ctx context.Context, r *v1alpha1.Rotation, values map[string]any) error {
	for _, v := range values {
		if s, ok := v.(string); ok && strings.TrimSpace(s) == "" {
			return errs.New(errs.Invalid, "a value is empty: nothing was written")
		}
	}
	client, err := x.Client()
	if err != nil {
		return err
	}
	m := r.Spec.Target.Manual
	path := fmt.Sprintf(provided, strings.Trim(m.Path, "/"))
	_, err = client.KVv2(session.First(m.Mount, "secret")).Put(ctx, path, values)
	var refused *vault.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden {
		return errs.Newf(errs.Denied, "your token may not write %s/data/%s: docs/rotation/manual.md has the policy", session.First(m.Mount, "secret"), path)
	}
	if err != nil {
		return err
	}
	next := fmt.Sprintf("begin the turn with: strongkeep rotation start %s", args(r))
	if underWay(r) == nil {
		next = fmt.Sprintf("turn %d goes on: strongkeep rotation watch %s", r.Status.Turn, args(r))
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return x.Done(fmt.Sprintf("Provided %s for %s/%s; %s", strings.Join(names, ", "), r.Namespace, r.Name, next))
}
