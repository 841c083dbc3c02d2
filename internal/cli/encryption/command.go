package encryption

import (
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// exitFound is the exit code of a command that found something (docs/cli.md).
const exitFound session.Exit = 10

type command struct {
	*session.Session
	version string // of this program
	stores  map[string]keystore.Opener
}

// Command returns the encryption command of a version of the program, for the kinds of key
// stores there are.
func Command(s *session.Session, version string, stores map[string]keystore.Opener) *cobra.Command {
	x := command{s, version, stores}
	c := &cobra.Command{
		Use: "encryption", Short: "Encrypt what API servers keep in etcd, and prove it",
		Long: `What lies in etcd, and how it gets encrypted. docs/encryption.md has the way from a
cluster in the clear to an encrypted one; "strongkeep kms" is the plugin that keeps the key.`,
		Args: cobra.ArbitraryArgs, RunE: session.Unknown,
		Example: "  strongkeep encryption rewrite -resource=secrets\n  strongkeep encryption verify -snapshot=/var/backups/etcd.db -provider=strongkeep",
	}
	c.AddCommand(x.status(), x.plan(), x.configure(), x.rewrite(), x.verify(), x.report(), x.rotateKey(), x.rescue())
	return c
}
