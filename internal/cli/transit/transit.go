package transit

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// app is one run of the program.
type app struct{ *session.Session }

// Invalid is the exit code of verify when the signature is not valid.
const Invalid session.Exit = 10

// Command returns the transit command with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	return session.Group("transit", "Encryption as a service: import keys; encrypt, decrypt, sign and verify files",
		a.importKey("import", "Bring a key into the vault", "import",
			"  strongkeep transit import transit/keys/orders @orders.pem type=rsa-2048\n  head -c32 /dev/urandom | base64 | strongkeep transit import transit/keys/files - type=aes256-gcm96"),
		a.importKey("import-version", "Bring a new version of an imported key into the vault", "import_version",
			"  strongkeep transit import-version transit/keys/orders @orders-2.pem"),
		a.encrypt(), a.decrypt(), a.sign(), a.verify())
}

// maxInput is what fits into a request, which may have 32 MiB, as base64.
const maxInput = 23 << 20

// files are the flags of commands that turn one stream into another.
type files struct{ mount, in, out string }

func (f *files) add(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&f.mount, "mount", "transit", "the mount, if KEY does not name it")
	c.Flags().StringVar(&f.in, "in", "-", "file to read; - is standard input")
	c.Flags().StringVar(&f.out, "out", "-", "file to write, mode 0600; - is standard output")
	return c
}

func (f *files) read(a *app) ([]byte, error) {
	from := a.Env.Stdin
	if f.in != "-" {
		file, err := os.Open(f.in)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "opening the input: %w", err)
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	switch {
	case err != nil:
		return nil, errs.Newf(errs.Invalid, "reading the input: %w", err)
	case len(content) > maxInput:
		return nil, errs.Newf(errs.TooLarge, "the input is larger than %d MiB, which is all that fits into a request: take a data key (strongkeep write transit/datakey/plaintext/KEY) and encrypt here", maxInput>>20)
	}
	return content, nil
}

func (f *files) write(a *app, content []byte) error {
	if f.out == "-" {
		_, err := a.Env.Stdout.Write(content)
		return err
	}
	if err := session.WritePrivate(f.out, content); err != nil {
		return errs.Newf(errs.Invalid, "writing the output: %w", err)
	}
	return nil
}

// call asks for one operation of a key.
func (a *app) call(ctx context.Context, f *files, key, operation string, body map[string]any) (map[string]any, error) {
	at, err := parsePlace(key, f.mount)
	if err != nil {
		return nil, err
	}
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	answer, err := client.Logical().WriteWithContext(ctx, at.path(operation), body)
	if err != nil {
		return nil, err
	}
	if answer != nil {
		a.Warn(answer.Warnings)
	}
	return session.Data(answer)
}

// options are the flags that are fields of the API.
type options struct {
	set map[string]func(map[string]any)
}

// text adds a flag whose value is sent as it is, or in base64.
func (o *options) text(c *cobra.Command, flag, field, help string, encode bool) {
	c.Flags().String(flag, "", help)
	if o.set == nil {
		o.set = map[string]func(map[string]any){}
	}
	o.set[flag] = func(body map[string]any) {
		value := c.Flag(flag).Value.String()
		if encode {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		body[field] = value
	}
}

func (o *options) fill(c *cobra.Command, body map[string]any) map[string]any {
	for flag, set := range o.set {
		if c.Flags().Changed(flag) {
			set(body)
		}
	}
	return body
}

func (a *app) encrypt() *cobra.Command {
	var f files
	var o options
	c := &cobra.Command{
		Use: "encrypt KEY", Short: "Encrypt standard input or a file", Args: session.Args(1, 1),
		Example: "  strongkeep transit encrypt transit/orders < order.json > order.vault",
		RunE: func(c *cobra.Command, given []string) error {
			plain, err := f.read(a)
			if err != nil {
				return err
			}
			body := o.fill(c, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)})
			clear(plain)
			data, err := a.call(c.Context(), &f, given[0], "encrypt", body)
			if err != nil {
				return err
			}
			return a.result(&f, data, "ciphertext")
		},
	}
	o.text(c, "context", "context", "context of a derived key", true)
	o.text(c, "associated-data", "associated_data", "what decrypting must give as well", true)
	o.text(c, "key-version", "key_version", "version of the key; default: the latest", false)
	return f.add(c)
}

// result writes the text of a field as a line, or the whole answer if a
// format or a field is asked for.
func (a *app) result(f *files, data map[string]any, field string) error {
	if a.Format != "table" || a.Field != "" {
		return a.Print(data, nil, nil)
	}
	return f.write(a, []byte(session.Text(data[field])+"\n"))
}

func (a *app) decrypt() *cobra.Command {
	var f files
	var o options
	c := &cobra.Command{
		Use: "decrypt KEY", Short: "Decrypt standard input or a file", Args: session.Args(1, 1),
		Example: "  strongkeep transit decrypt transit/orders -in=order.vault -out=order.json",
		RunE: func(c *cobra.Command, given []string) error {
			cipher, err := f.read(a)
			if err != nil {
				return err
			}
			data, err := a.call(c.Context(), &f, given[0], "decrypt", o.fill(c, map[string]any{"ciphertext": strings.TrimSpace(string(cipher))}))
			if err != nil {
				return err
			}
			text, _ := data["plaintext"].(string)
			plain, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return errs.New(errs.Internal, "the server's plaintext is not base64")
			}
			defer clear(plain)
			return f.write(a, plain)
		},
	}
	o.text(c, "context", "context", "context of a derived key", true)
	o.text(c, "associated-data", "associated_data", "what encrypting gave as well", true)
	return f.add(c)
}

// signing are the flags that sign and verify share.
func signing(c *cobra.Command, o *options) {
	o.text(c, "context", "context", "context of a derived key", true)
	o.text(c, "hash-algorithm", "hash_algorithm", "sha2-256, sha2-384, sha2-512, …", false)
	o.text(c, "signature-algorithm", "signature_algorithm", "RSA: pss or pkcs1v15", false)
	o.text(c, "marshaling-algorithm", "marshaling_algorithm", "ECDSA: asn1 or jws", false)
	o.text(c, "prehashed", "prehashed", "true: the input is the hash already", false)
}

func (a *app) sign() *cobra.Command {
	var f files
	var o options
	c := &cobra.Command{
		Use: "sign KEY", Short: "Sign standard input or a file", Args: session.Args(1, 1),
		Example: "  strongkeep transit sign transit/releases -in=app.tar.gz > app.tar.gz.sig",
		RunE: func(c *cobra.Command, given []string) error {
			input, err := f.read(a)
			if err != nil {
				return err
			}
			body := o.fill(c, map[string]any{"input": base64.StdEncoding.EncodeToString(input)})
			data, err := a.call(c.Context(), &f, given[0], "sign", body)
			if err != nil {
				return err
			}
			return a.result(&f, data, "signature")
		},
	}
	signing(c, &o)
	o.text(c, "key-version", "key_version", "version of the key; default: the latest", false)
	return f.add(c)
}

func (a *app) verify() *cobra.Command {
	var f files
	var o options
	c := &cobra.Command{
		Use: "verify KEY SIGNATURE", Short: fmt.Sprintf("Check a signature (exit code %d: not valid)", int(Invalid)), Args: session.Args(2, 2),
		Long:    "Check the signature of standard input or a file. SIGNATURE is the signature itself, or @FILE.",
		Example: "  strongkeep transit verify transit/releases @app.tar.gz.sig -in=app.tar.gz",
		RunE: func(c *cobra.Command, given []string) error {
			signature := given[1]
			if name, ok := strings.CutPrefix(signature, "@"); ok {
				raw, err := os.ReadFile(name)
				if err != nil {
					return errs.Newf(errs.Invalid, "reading the signature: %w", err)
				}
				signature = string(raw)
			}
			input, err := f.read(a)
			if err != nil {
				return err
			}
			body := o.fill(c, map[string]any{"input": base64.StdEncoding.EncodeToString(input), "signature": strings.TrimSpace(signature)})
			data, err := a.call(c.Context(), &f, given[0], "verify", body)
			if err != nil {
				return err
			}
			valid := data["valid"] == true
			said := map[bool]string{true: "The signature is valid.", false: "The signature is NOT valid."}[valid]
			if err := a.Print(data, nil, []session.Row{{said}}); err != nil || valid {
				return err
			}
			return Invalid
		},
	}
	signing(c, &o)
	f.add(c)
	c.Flags().Lookup("out").Hidden = true // there is nothing to write
	return c
}
