package snapshot

import (
	"context"
	"slices"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) read() *cobra.Command {
	path := ""
	c := &cobra.Command{
		Use: "read PLAN/SNAPSHOT", Short: "What lay at one path when a snapshot was made", Args: session.Args(1, 1),
		Long: `Read one secret of a kv engine out of a snapshot that the server keeps by a plan
(strongkeep list sys/storage/snapshots/list/PLAN names them). It takes what a read of
the path takes, by the policies of now.`,
		Example: "  strongkeep snapshot read -path=secret/app/db daily/vault-snapshot-20260304T050607Z.snapshot",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			at, err := locate(c.Context(), client, path)
			if err != nil {
				return err
			}
			answer, err := at.then(c.Context(), client, given[0])
			if err != nil {
				return err
			}
			return a.PrintSecret(answer)
		},
	}
	session.Filled(c.Flags(), &path, "path", "of the secret, as for kv get: secret/app/db")
	return c
}

// secret is a secret's place, as the API has it.
type secret struct {
	path      string // with data/ for version 2
	versioned bool
}

// locate finds the mount of a path, and what kind of kv it is.
func locate(ctx context.Context, client *vault.Client, path string) (secret, error) {
	path = session.Clean(path)
	if path == "" {
		return secret{}, errs.New(errs.Invalid, "-path is missing: of the secret, for example secret/app/db")
	}
	about, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+path)
	if err != nil {
		return secret{}, err
	}
	data, err := session.Data(about)
	if err != nil {
		return secret{}, err
	}
	mounted, _ := data["path"].(string)
	options, _ := data["options"].(map[string]any)
	rest, ok := strings.CutPrefix(path+"/", mounted)
	if !ok {
		return secret{}, errs.Newf(errs.Invalid, "%s is not below the mount %s", path, mounted)
	}
	if options["version"] != "2" {
		return secret{path: path}, nil
	}
	return secret{path: mounted + "data/" + strings.TrimSuffix(rest, "/"), versioned: true}, nil
}

// then reads it out of a snapshot.
func (s secret) then(ctx context.Context, client *vault.Client, name string) (*vault.Secret, error) {
	plan, file, ok := strings.Cut(name, "/")
	if !ok || plan == "" || file == "" {
		return nil, errs.New(errs.Invalid, "name the snapshot as PLAN/SNAPSHOT; strongkeep list sys/storage/snapshots/list/PLAN says which there are")
	}
	answer, err := client.Logical().ReadWithContext(ctx, "sys/storage/snapshots/read/"+plan+"/"+file+"/"+s.path)
	if err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, s.nothing(ctx, client, plan, file)
	}
	return answer, nil
}

// nothing says what there is not: what lay at the path, or the snapshot. The client drops what
// the server says of that.
func (s secret) nothing(ctx context.Context, client *vault.Client, plan, file string) error {
	list := "sys/storage/snapshots/list/" + plan
	answer, err := client.Logical().ListWithContext(ctx, list)
	if err != nil {
		return errs.Newf(errs.NotExist, "nothing lay at %s when %s was made, or there is no such snapshot: strongkeep list %s", s.path, file, list)
	}
	if answer != nil {
		if names, _ := answer.Data["keys"].([]any); slices.Contains(names, any(file)) {
			return errs.Newf(errs.NotExist, "nothing lay at %s when %s was made", s.path, file)
		}
	}
	return errs.Newf(errs.NotExist, "the plan %s has no snapshot %s: strongkeep list %s says which there are", plan, file, list)
}

// bring writes what lay there as a new version, as anything is written.
func (a *app) bring(ctx context.Context, path, name string) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	if err := a.RefuseWrapping(); err != nil {
		return err
	}
	at, err := locate(ctx, client, path)
	if err != nil {
		return err
	}
	answer, err := at.then(ctx, client, name)
	if err != nil {
		return err
	}
	body := answer.Data
	if at.versioned {
		value, ok := answer.Data["data"].(map[string]any)
		if !ok {
			return errs.Newf(errs.NotExist, "what lay at %s was deleted already when the snapshot was made", path)
		}
		body = map[string]any{"data": value}
	}
	if _, err := client.Logical().WriteWithContext(ctx, at.path, body); err != nil {
		return err
	}
	return a.Done("Success! Written at %s: what lay there when %s was made.", session.Clean(path), name)
}
