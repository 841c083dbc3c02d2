package pki

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) healthCheck() *cobra.Command {
	failOn := ""
	c := &cobra.Command{
		Use: "health-check MOUNT", Short: "Hold a mount against good practice", Args: session.Args(1, 1),
		Long: `Hold a mount against good practice: issuers near their end, CRLs that are not renewed,
auto-tidy, roles that allow any name or long lifetimes, and how many certificates are
kept. What your token may not read is a warning.

Exit codes: 0 nothing is as bad as -fail-on, 10 something is.`,
		Example: "  strongkeep pki health-check pki\n  strongkeep pki health-check -fail-on=warning -format=json pki",
		RunE: func(c *cobra.Command, given []string) error {
			least, err := parseSeverity(failOn)
			if err != nil {
				return err
			}
			client, err := a.Client()
			if err != nil {
				return err
			}
			h := &examination{app: a, client: client, mount: session.Clean(given[0]), now: time.Now()}
			if err := h.all(c.Context()); err != nil {
				return err
			}
			worst, rows := fine, make([]session.Row, 0, len(h.findings))
			for _, f := range h.findings {
				worst = max(worst, f.Severity)
				rows = append(rows, session.Row{f.Severity.String(), f.Check, f.On, f.Message})
			}
			if err := a.Print(h.findings, session.Row{"Severity", "Check", "On", "Message"}, rows); err != nil {
				return err
			}
			if worst >= least {
				return Failed
			}
			return nil
		},
	}
	c.Flags().StringVar(&failOn, "fail-on", "critical", "exit with 10 at this severity: informational, warning, critical, or never")
	return c
}

// examination is one health check of one mount.
type examination struct {
	*app
	client   *vault.Client
	mount    string
	now      time.Time
	findings []finding
}

// all runs the checks. What is denied becomes a finding; other errors end it.
func (h *examination) all(ctx context.Context) error {
	for _, part := range []struct {
		name, on string
		run      func(context.Context) error
	}{
		{"auto_tidy", "config/auto-tidy", h.tidy}, {"ca_validity", "issuers", h.issuers},
		{"role", "roles", h.roles}, {"stored_certificates", "certs", h.store},
	} {
		err := part.run(ctx)
		if err != nil && errs.KindOf(h.Explain(err)) == errs.Denied {
			h.findings = append(h.findings, finding{part.name, part.on, warning, "not checked: your token may not read all of it"})
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (h *examination) tidy(ctx context.Context) error {
	config, err := read(ctx, h.client, h.mount+"/config/auto-tidy")
	if err != nil {
		return err
	}
	if len(config) == 0 {
		return errs.Newf(errs.NotExist, "%s is no mount of type pki; see strongkeep secrets list", h.mount)
	}
	h.findings = append(h.findings, checkTidy(config))
	return nil
}

func (h *examination) issuers(ctx context.Context) error {
	all, err := issuers(ctx, h.client, h.mount)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		h.findings = append(h.findings, finding{"ca_validity", "issuers", informational, "there are no issuers"})
	}
	for _, i := range all {
		h.findings = append(h.findings, checkIssuer(i, h.now))
	}
	config, err := read(ctx, h.client, h.mount+"/config/crl")
	if err != nil {
		return err
	}
	if config["disable"] == true {
		h.findings = append(h.findings, finding{"crl_validity", "config/crl", warning, "disable: CRLs are empty, whatever was revoked"})
	}
	grace, err := time.ParseDuration(session.Text(config["auto_rebuild_grace_period"]))
	if err != nil {
		grace = 12 * time.Hour // the default; days and weeks are more
	}
	for _, i := range all {
		if err := h.crl(ctx, i, grace); err != nil {
			return err
		}
	}
	return nil
}

func (h *examination) crl(ctx context.Context, i *issuer, grace time.Duration) error {
	if !i.crl {
		return nil
	}
	on := "issuer/" + i.label() + "/crl"
	data, err := read(ctx, h.client, h.mount+"/issuer/"+i.id+"/crl")
	if err != nil {
		return err
	}
	text, _ := data["crl"].(string)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		h.findings = append(h.findings, finding{"crl_validity", on, warning, "there is no CRL: build it (crl/rotate)"})
		return nil
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return errs.Newf(errs.Internal, "parsing the CRL of %s: %w", i.label(), err)
	}
	h.findings = append(h.findings, checkCRL(on, list, grace, h.now))
	return nil
}

func (h *examination) roles(ctx context.Context) error {
	names, err := keys(ctx, h.client, h.mount+"/roles")
	if err != nil {
		return err
	}
	for _, name := range names {
		role, err := read(ctx, h.client, h.mount+"/roles/"+name)
		if err != nil {
			return err
		}
		if len(role) > 0 { // else deleted meanwhile
			h.findings = append(h.findings, checkRole(name, role, h.now)...)
		}
	}
	return nil
}

// store counts the certificates, in pages.
func (h *examination) store(ctx context.Context) error {
	const page = 10_000
	count, after := 0, ""
	for count < tooManyCerts {
		answer, err := h.client.Logical().ReadWithDataWithContext(ctx, h.mount+"/certs", map[string][]string{
			"list": {"true"}, "after": {after}, "limit": {strconv.Itoa(page)},
		})
		if err != nil {
			return err
		}
		serials, err := names(answer)
		if err != nil {
			return err
		}
		count += len(serials)
		if len(serials) < page || serials[len(serials)-1] == after {
			break
		}
		after = serials[len(serials)-1]
	}
	h.findings = append(h.findings, checkStore(count))
	return nil
}
