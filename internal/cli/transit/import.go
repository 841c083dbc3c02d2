package transit

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/wrapping"
)

func (a *app) importKey(use, short, operation, example string) *cobra.Command {
	return &cobra.Command{
		Use: use + " PATH KEY [OPTION=VALUE...]", Short: short, Args: session.Args(2, -1),
		Long: short + `. PATH is MOUNT/keys/NAME. KEY is @FILE or - (standard input): PEM of
a private or a public key, or base64 of the bytes of a symmetric key.

A private key is wrapped here, for the mount alone: RSA-OAEP of an AES-256 key made
for this, and AES-KWP of the key under that. It never travels in the clear. The
OPTIONs are fields of the API, such as type=, exportable= and hash_function=; see
strongkeep path-help MOUNT/keys/NAME/import`,
		Example: example,
		RunE: func(c *cobra.Command, given []string) error {
			at, err := parsePlace(given[0], "transit")
			if err != nil {
				return err
			}
			key, err := a.key(given[1])
			if err != nil {
				return err
			}
			body, err := a.Values(given[2:], nil)
			if err != nil {
				return err
			}
			client, err := a.Client()
			if err != nil {
				return err
			}
			if err := a.wrap(c, client, at, key, body); err != nil {
				return err
			}
			answer, err := client.Logical().WriteWithContext(c.Context(), at.mount+"/keys/"+at.key+"/"+operation, body)
			if err != nil {
				return err
			}
			if answer != nil {
				a.Warn(answer.Warnings)
			}
			return a.Done("Success! Imported into %s/keys/%s", at.mount, at.key)
		},
	}
}

// key reads the KEY argument.
func (a *app) key(arg string) (material, error) {
	var content string
	switch {
	case arg == "-":
		used := false
		text, err := a.ReadStdin(&used)
		if err != nil {
			return material{}, err
		}
		content = text
	case strings.HasPrefix(arg, "@"):
		raw, err := os.ReadFile(arg[1:])
		if err != nil {
			return material{}, errs.Newf(errs.Invalid, "reading the key: %w", err)
		}
		content = string(raw)
	default:
		a.Warn([]string{"a key on the command line stays in the shell's history: use @FILE, or - for standard input"})
		content = arg
	}
	return parseKey(content)
}

// wrap puts the key into body, wrapped to the mount's wrapping key.
func (a *app) wrap(c *cobra.Command, client *vault.Client, at place, key material, body map[string]any) error {
	if key.public != "" {
		body["public_key"] = key.public
		return nil
	}
	defer clear(key.private)
	name, _ := body["hash_function"].(string)
	hash, err := wrapping.ParseHash(name)
	if err != nil {
		return err
	}
	defer session.Plain(client)()
	answer, err := client.Logical().ReadWithContext(c.Context(), at.mount+"/wrapping_key")
	if err != nil {
		return errs.Newf(errs.KindOf(a.Explain(err)), "reading the wrapping key of %s/: %w", at.mount, a.Explain(err))
	}
	data, err := session.Data(answer)
	if err != nil {
		return err
	}
	text, _ := data["public_key"].(string)
	public, err := parseWrapper(text)
	if err != nil {
		return err
	}
	wrapped, err := wrapping.Wrap(public, key.private, hash, rand.Reader)
	if err != nil {
		return err
	}
	body["ciphertext"] = base64.StdEncoding.EncodeToString(wrapped)
	return nil
}
