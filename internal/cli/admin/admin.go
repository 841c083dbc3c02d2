package admin

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/custody"
	"github.com/strongkeep/strongkeep/internal/cli/members"
	"github.com/strongkeep/strongkeep/internal/cli/raft"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/cli/snapshot"
	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
)

// app is one run of the program.
type app struct{ *session.Session }

// Commands returns what stands below "operator" for the person who runs a
// vault. A command with a package of its own is one more in this list.
func Commands(s *session.Session) []*cobra.Command {
	a := &app{s}
	return append(custody.Commands(s),
		a.initialise(), a.unseal(), a.seal(), a.status(),
		a.rotate(), a.keys(), members.Command(s), raft.Command(s), a.stepDown(), a.unsealKey(), snapshot.Migrate(s),
	)
}

func (a *app) initialise() *cobra.Command {
	shares, threshold := 5, 3
	recoveryShares, recoveryThreshold, rootKey := 0, 0, ""
	var keys []string
	status := false
	c := &cobra.Command{
		Use: "init", Short: "Initialise a new vault: shares and root token are shown once", Args: session.Args(0, 0),
		Example: "  strongkeep operator init -key-shares=5 -key-threshold=3",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if status {
				return a.initStatus(c, client)
			}
			shares, threshold = cmp.Or(recoveryShares, shares), cmp.Or(recoveryThreshold, threshold)
			in := &vault.InitRequest{SecretShares: shares, SecretThreshold: threshold}
			if in.PGPKeys, err = custody.Keys(keys); err != nil {
				return err
			}
			if rootKey != "" {
				root, err := custody.Keys([]string{rootKey})
				if err != nil {
					return err
				}
				in.RootTokenPGPKey = root[0]
			}
			r, err := client.Sys().InitWithContext(c.Context(), in)
			if err != nil {
				return err
			}
			if a.Format != "table" {
				return a.Print(map[string]any{
					"unseal_keys_b64": r.KeysB64, "unseal_keys_hex": r.Keys, "unseal_shares": shares,
					"unseal_threshold": threshold, "root_token": r.RootToken,
				}, nil, nil)
			}
			return a.printInit(r, shares, threshold)
		},
	}
	f := c.Flags()
	f.IntVarP(&shares, "key-shares", "n", 5, "number of shares")
	f.IntVarP(&threshold, "key-threshold", "t", 3, "how many of them unseal the vault")
	f.IntVar(&recoveryShares, "recovery-shares", 0, "the same as -key-shares: also beside an unseal key the shares open the vault")
	f.IntVar(&recoveryThreshold, "recovery-threshold", 0, "the same as -key-threshold")
	f.StringSliceVar(&keys, "pgp-keys", nil, "for each share an age recipient (age1…) or the file of a PGP key, separated by commas")
	f.StringSliceVar(&keys, "recovery-pgp-keys", nil, "the same as -pgp-keys")
	f.StringVar(&rootKey, "root-token-pgp-key", "", "the age recipient, or the file of the PGP key, that the root token is for")
	f.BoolVar(&status, "status", false, "only say whether it is initialised (exit code 0 yes, 2 no)")
	return c
}

func (a *app) initStatus(c *cobra.Command, client *vault.Client) error {
	done, err := client.Sys().InitStatusWithContext(c.Context())
	if err != nil {
		return err
	}
	if !done {
		if err := a.Done("Vault is not initialized"); err != nil {
			return err
		}
		return session.Exit(2)
	}
	return a.Done("Vault is initialized")
}

func (a *app) printInit(r *vault.InitResponse, shares, threshold int) error {
	var b strings.Builder
	for i, share := range r.KeysB64 {
		fmt.Fprintf(&b, "Unseal Key %d: %s\n", i+1, share)
	}
	fmt.Fprintf(&b, "\nInitial Root Token: %s\n\n", r.RootToken)
	if shares == 1 {
		b.WriteString("The key unseals the vault, alone. It is shown this once: nobody can make it again.\n" + howToUnseal(r))
		_, err := fmt.Fprint(a.Env.Stdout, b.String())
		return err
	}
	fmt.Fprintf(&b, "The vault has %d shares; any %d of them unseal it. They are shown this once:\n", shares, threshold)
	b.WriteString("give them to different people, and keep none of them together. Nobody can make\nthem again.\n" + howToUnseal(r))
	_, err := fmt.Fprint(a.Env.Stdout, b.String())
	return err
}

// howToUnseal says when the shares of r are needed: beside an unseal key only without it.
func howToUnseal(r *vault.InitResponse) string {
	const how = "strongkeep operator unseal\n"
	if len(r.RecoveryKeysB64) > 0 {
		return "The server unseals itself by the unseal key of its configuration. Without that key: " + how
	}
	return "Unseal with: " + how
}

func (a *app) unseal() *cobra.Command {
	reset := false
	c := &cobra.Command{
		Use: "unseal [-]", Short: "Give one share; the vault opens at the threshold", Args: session.Args(0, 1),
		Example: "  strongkeep operator unseal\n  cat share | strongkeep operator unseal -",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if reset {
				return a.sealStatus(client.Sys().ResetUnsealProcessWithContext(c.Context()))
			}
			var share string
			if len(given) == 0 {
				share, err = a.AskFor("unseal key", "use - for standard input")
			} else {
				share, err = a.SecretArgument(given, "share")
			}
			if err != nil {
				return err
			}
			return a.sealStatus(client.Sys().UnsealWithContext(c.Context(), strings.TrimSpace(share)))
		},
	}
	c.Flags().BoolVar(&reset, "reset", false, "drop the shares given so far")
	return c
}

// others are commands that seal the other nodes, as far as the token may know of them.
func (a *app) others(ctx context.Context, client *vault.Client) (commands []string) {
	s, err := client.Sys().HAStatusWithContext(ctx)
	if err != nil || len(s.Nodes) < 2 {
		return nil
	}
	for _, n := range s.Nodes {
		if n.APIAddress != client.Address() {
			commands = append(commands, "strongkeep operator seal -address="+n.APIAddress)
		}
	}
	return commands
}

func (a *app) seal() *cobra.Command {
	return &cobra.Command{
		Use: "seal", Short: "Seal the vault: nothing is served until it is unsealed", Args: session.Args(0, 0),
		Example: "  strongkeep operator seal",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			others := a.others(c.Context(), client)
			if err := client.Sys().SealWithContext(c.Context()); err != nil {
				return err
			}
			if len(others) > 0 {
				return a.Done("Success! This node is sealed. The other nodes go on; to seal the vault seal each of them:\n%s", strings.Join(others, "\n"))
			}
			return a.Done("Success! Vault is sealed.")
		},
	}
}

func (a *app) status() *cobra.Command {
	c := Status(a.Session)
	c.Example = "  strongkeep operator status"
	return c
}

// Status returns the command that says whether the vault is open. It stands
// below "operator" and at the top.
func Status(s *session.Session) *cobra.Command {
	a := &app{s}
	return &cobra.Command{
		Use: "status", Short: "Whether the vault is initialised and unsealed (exit code 0 unsealed, 2 sealed)", Args: session.Args(0, 0),
		Example: "  strongkeep status",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			now, err := client.Sys().SealStatusWithContext(c.Context())
			if err := a.sealStatus(now, err); err != nil {
				return err
			}
			if now.Sealed {
				return session.Exit(2)
			}
			return nil
		},
	}
}

func (a *app) sealStatus(s *vault.SealStatusResponse, err error) error {
	if err != nil {
		return err
	}
	a.Warn(s.Warnings)
	rows := []session.Row{
		{"Seal Type", s.Type}, {"Initialized", fmt.Sprint(s.Initialized)}, {"Sealed", fmt.Sprint(s.Sealed)},
		{"Total Shares", fmt.Sprint(s.N)}, {"Threshold", fmt.Sprint(s.T)},
	}
	if s.Sealed && s.Initialized {
		rows = append(rows, session.Row{"Unseal Progress", fmt.Sprintf("%d/%d", s.Progress, s.T)}, session.Row{"Unseal Nonce", session.First(s.Nonce, "n/a")})
	}
	rows = append(rows, session.Row{"Version", s.Version}, session.Row{"Storage Type", s.StorageType})
	if s.ClusterID != "" {
		rows = append(rows, session.Row{"Cluster ID", s.ClusterID})
	}
	return a.Print(s, session.Row{"Key", "Value"}, rows)
}

func (a *app) rotate() *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Add a new encryption key; older entries stay readable", Args: session.Args(0, 0),
		Example: "  strongkeep operator rotate",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if err := a.RefuseWrapping(); err != nil {
				return err
			}
			if err := client.Sys().RotateWithContext(c.Context()); err != nil {
				return err
			}
			return a.keyStatus(c.Context(), client)
		},
	}
}

func (a *app) keyStatus(ctx context.Context, client *vault.Client) error {
	if err := a.RefuseWrapping(); err != nil {
		return err
	}
	s, err := client.Sys().KeyStatusWithContext(ctx)
	if err != nil {
		return err
	}
	return a.Print(s, nil, []session.Row{
		{"Key Term", fmt.Sprint(s.Term)}, {"Install Time", s.InstallTime.UTC().Format("2006-01-02 15:04:05 UTC")},
		{"Encryption Count", fmt.Sprint(s.Encryptions)},
	})
}

func (a *app) keys() *cobra.Command {
	return &cobra.Command{
		Use: "key-status", Short: "Show the newest encryption key's age and use", Args: session.Args(0, 0),
		Example: "  strongkeep operator key-status",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			return a.keyStatus(c.Context(), client)
		},
	}
}

func (a *app) stepDown() *cobra.Command {
	return &cobra.Command{
		Use: "step-down", Short: "Have the active node give up leadership; a single node keeps it", Args: session.Args(0, 0),
		Example: "  strongkeep operator step-down",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if err := client.Sys().StepDownWithContext(c.Context()); err != nil {
				return err
			}
			if s, err := client.Sys().LeaderWithContext(c.Context()); err == nil && !s.HAEnabled {
				return a.Done("Nothing has changed: this server is alone, and does the background work.")
			}
			return a.Done("Success! The node that did the background work leaves it to another: strongkeep operator members")
		},
	}
}

func (a *app) unsealKey() *cobra.Command {
	return &cobra.Command{
		Use: "unseal-key FILE", Short: "Make a key file that unseals a vault without people", Args: session.Args(1, 1),
		Long: `Make a key file for the server's unseal_key_file setting. A vault initialised
with it opens by itself at start; the shares shown at initialisation open it as
well, should the file be lost. Keep the file away from the store's backups: who
has both has everything.`,
		Example: "  strongkeep operator unseal-key /etc/strongkeep/unseal.key",
		RunE: func(_ *cobra.Command, given []string) error {
			if _, err := keyfile.Generate(given[0]); err != nil {
				return errs.Newf(errs.KindOf(err), "making the key file: %w", err)
			}
			return a.Done("Success! Wrote a new key to %s (mode 0600).", given[0])
		},
	}
}
