package pki

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) issue() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "issue MOUNT/ROLE KEY=VALUE... -out=DIR", Short: "Issue a certificate with a new key, into files", Args: session.Args(2, -1),
		Long: `Issue a certificate with a new key and write it to a directory, which is made if it
is not there: cert.pem, chain.pem (the certificate and those above it, as servers want
it), ca.pem (the issuer) and key.pem. Only you can read them. The key is shown
nowhere, unless -out=- asks for all of it on standard output. KEYs are fields of the API:
strongkeep path-help MOUNT/issue/ROLE`,
		Example: "  strongkeep pki issue pki/web common_name=a.example.com ttl=24h -out=tls",
		RunE: func(c *cobra.Command, given []string) error {
			path, err := issuePath(given[0])
			if err != nil {
				return err
			}
			if out == "" {
				return errs.New(errs.Invalid, "-out is missing: give it the directory for cert.pem, chain.pem, ca.pem and key.pem, or - for standard output")
			}
			if err := a.RefuseWrapping(); err != nil {
				return err
			}
			body, err := a.Values(given[1:], nil)
			if err != nil {
				return err
			}
			if f, ok := body["format"]; ok && f != "pem" {
				return errs.New(errs.Invalid, "issue writes PEM files: leave format out, or use strongkeep write "+path)
			}
			if out != "-" { // before there is a certificate that nobody has
				if err := os.MkdirAll(out, 0o700); err != nil {
					return errs.Newf(errs.Invalid, "making the directory of -out: %w", err)
				}
			}
			data, err := a.issued(c, path, body)
			if err != nil {
				return err
			}
			return a.deliver(out, data)
		},
	}
	c.Flags().StringVar(&out, "out", "", "directory of the files, - for standard output")
	return c
}

// issued asks for a certificate.
func (a *app) issued(c *cobra.Command, path string, body map[string]any) (map[string]any, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	answer, err := client.Logical().WriteWithContext(c.Context(), path, body)
	if err != nil {
		return nil, err
	}
	if answer != nil {
		a.Warn(answer.Warnings)
	}
	return session.Data(answer)
}

// issuePath reads MOUNT/ROLE or MOUNT/issue/ROLE.
func issuePath(arg string) (string, error) {
	arg = session.Clean(arg)
	at := strings.LastIndexByte(arg, '/')
	if at < 0 {
		return "", errs.Newf(errs.Invalid, "%q names no role: the form is MOUNT/ROLE", arg)
	}
	mount, role := strings.TrimSuffix(arg[:at], "/issue"), arg[at+1:]
	return mount + "/issue/" + role, nil
}

// deliver writes what was issued.
func (a *app) deliver(out string, data map[string]any) error {
	text := func(name string) string {
		s, _ := data[name].(string)
		return s
	}
	cert, ca, key := lines(text("certificate")), lines(text("issuing_ca")), lines(text("private_key"))
	if cert == "" || key == "" {
		return errs.New(errs.Internal, "the answer holds no certificate and key: is it a mount of type pki?")
	}
	above := ""
	all, _ := data["ca_chain"].([]any)
	for _, c := range all {
		above += lines(session.Text(c))
	}
	if above == "" {
		above = ca
	}
	if out == "-" {
		_, err := fmt.Fprint(a.Env.Stdout, cert, above, key)
		return err
	}
	for _, f := range []struct{ name, content string }{
		{"key.pem", key}, {"ca.pem", ca}, {"chain.pem", cert + above}, {"cert.pem", cert},
	} {
		if err := session.WritePrivate(filepath.Join(out, f.name), []byte(f.content)); err != nil {
			return errs.Newf(errs.Invalid, "writing %s of the certificate %s: %w; revoke it and issue another", f.name, text("serial_number"), err)
		}
	}
	return a.Done("Success! Issued %s into %s", text("serial_number"), out)
}

// lines is PEM that ends with a line's end, "" if there is none.
func lines(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return text + "\n"
}
