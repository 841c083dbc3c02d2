package pki

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// app is one run of the program.
type app struct{ *session.Session }

// Failed is the exit code of health-check when something is as bad as -fail-on,
// and of verify-sign when the issuer does not verify the certificate.
const Failed session.Exit = 10

// Command returns the pki command with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	return session.Group("pki", "Certificate authorities: check them, issue certificates into files",
		a.healthCheck(), a.issue(), a.listIntermediates(), a.verifySign())
}

// issuer is an issuer of a mount.
type issuer struct {
	id, name string
	crl      bool // it signs a CRL here
	revoked  bool
	cert     *x509.Certificate
}

// label is how people know it.
func (i *issuer) label() string { return session.First(i.name, i.id) }

func (i *issuer) isRoot() bool {
	return slices.Equal(i.cert.RawSubject, i.cert.RawIssuer) && i.cert.CheckSignatureFrom(i.cert) == nil
}

// keys lists the names below a path.
func keys(ctx context.Context, client *vault.Client, path string) ([]string, error) {
	answer, err := client.Logical().ListWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	return names(answer)
}

func names(answer *vault.Secret) ([]string, error) {
	data, err := session.Data(answer)
	if err != nil {
		return nil, err
	}
	all, _ := data["keys"].([]any)
	out := make([]string, len(all))
	for i, k := range all {
		out[i] = session.Text(k)
	}
	return out, nil
}

// read returns the data at a path, empty if there is none.
func read(ctx context.Context, client *vault.Client, path string) (map[string]any, error) {
	answer, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	return session.Data(answer)
}

// issuers reads all issuers of a mount.
func issuers(ctx context.Context, client *vault.Client, mount string) ([]*issuer, error) {
	ids, err := keys(ctx, client, mount+"/issuers")
	if err != nil {
		return nil, err
	}
	all := make([]*issuer, 0, len(ids))
	for _, id := range ids {
		i, err := readIssuer(ctx, client, mount+"/issuer/"+id)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}

func readIssuer(ctx context.Context, client *vault.Client, path string) (*issuer, error) {
	data, err := read(ctx, client, path)
	if err != nil {
		return nil, err
	}
	text, _ := data["certificate"].(string)
	if text == "" {
		return nil, errs.Newf(errs.NotExist, "there is no issuer at %s: the form is MOUNT/issuer/REF, where REF is a name, an ID or default", path)
	}
	cert, err := parse(text)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading the certificate of %s: %w", path, err)
	}
	i := &issuer{cert: cert}
	i.id, _ = data["issuer_id"].(string)
	i.name, _ = data["issuer_name"].(string)
	i.revoked, _ = data["revoked"].(bool)
	usage, _ := data["usage"].(string)
	i.crl = data["key_id"] != "" && slices.Contains(strings.Split(usage, ","), "crl-signing")
	return i, nil
}

// parse reads the first certificate of PEM.
func parse(text string) (*x509.Certificate, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errs.New(errs.Invalid, "it holds no certificate in PEM: it should have a line -----BEGIN CERTIFICATE-----")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "parsing the certificate: %w", err)
		}
		return cert, nil
	}
}

func (a *app) listIntermediates() *cobra.Command {
	return &cobra.Command{
		Use: "list-intermediates MOUNT", Short: "Show a mount's issuers: who they are, until when, and who is above them", Args: session.Args(1, 1),
		Long: `Show a mount's issuers. A parent is an issuer of the same mount; one that is not
here is shown by its name, as "not here: NAME".`,
		Example: "  strongkeep pki list-intermediates pki",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			mount := session.Clean(given[0])
			all, err := issuers(c.Context(), client, mount)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return errs.Newf(errs.NotExist, "%s has no issuers: is it a mount of type pki? Make one with: strongkeep write %s/root/generate/internal", mount, mount)
			}
			return a.showIssuers(all)
		},
	}
}

// shown is an issuer as list-intermediates prints it.
type shown struct {
	ID       string    `json:"issuer_id"`
	Name     string    `json:"issuer_name"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"not_after"`
	Parent   string    `json:"parent"` // ID; "" = it is a root, or its parent is not here
	Issuer   string    `json:"issuer"` // name of the parent
	Root     bool      `json:"root"`
	Revoked  bool      `json:"revoked"`
}

func (a *app) showIssuers(all []*issuer) error {
	out, rows := make([]shown, 0, len(all)), make([]session.Row, 0, len(all))
	for _, i := range all {
		s := shown{
			ID: i.id, Name: i.name, Subject: i.cert.Subject.String(), NotAfter: i.cert.NotAfter,
			Issuer: i.cert.Issuer.String(), Root: i.isRoot(), Revoked: i.revoked,
		}
		label := "not here: " + s.Issuer
		if s.Root {
			label = "none: it is a root"
		} else if up := parent(i, all); up != nil {
			s.Parent, label = up.id, up.label()
		}
		out = append(out, s)
		rows = append(rows, session.Row{i.label(), s.Subject, s.NotAfter.UTC().Format(time.RFC3339), label})
	}
	return a.Print(out, session.Row{"Issuer", "Subject", "Expires", "Parent"}, rows)
}

// parent is the issuer that signed i, nil if it is not among all; of several with one
// key, that which lasts longest.
func parent(i *issuer, all []*issuer) *issuer {
	var best *issuer
	for _, up := range all {
		if up == i || !slices.Equal(up.cert.RawSubject, i.cert.RawIssuer) || i.cert.CheckSignatureFrom(up.cert) != nil {
			continue
		}
		if best == nil || up.cert.NotAfter.After(best.cert.NotAfter) {
			best = up
		}
	}
	return best
}
