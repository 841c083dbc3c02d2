package checklist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/demo/report"
)

// mended is one remedy: what it is called with, and what is found no longer.
type mended struct {
	check, rule, object string
	args                []string
}

// remedies are those of the act, in their order: a ClusterRoleBinding is not given to
// more ServiceAccounts. -anyway is for an audit log of minutes.
func (a *Act) remedies() []mended {
	return []mended{
		{"SEC-03", "ReadsNamespace", "ServiceAccount orders/app", []string{"orders/secrets", "-audit-log=" + a.Control.Log, "-anyway"}},
		{"SEC-04", "RightsEverywhere", "ClusterRoleBinding orders-reads-configuration", []string{"orders-reads-configuration", "-in=orders"}},
		{"SEC-05", "MadeByHand", "Secret orders/db", []string{"orders/db", "-path=secret/adopted/orders-db", "-store=ClusterSecretStore/adopted", "-copies", "-in=orders,billing"}},
		{"SEC-08", "SharedAccount", "ServiceAccount orders/app", []string{"serviceaccount/orders/app"}},
		{"SEC-08", "NeedlessToken", "Deployment orders/page", []string{"deployment/orders/page"}},
		{"SEC-09", "EnvVariable", "Deployment orders/api", []string{"deployment/orders/api", "-file-env"}},
	}
}

// Mend applies the remedies, each shown first and committed to the repository.
func (a *Act) Mend(ctx context.Context) (report.Outcome, error) {
	lines, err := a.mend(ctx)
	return report.Outcome{Text: fmt.Sprintf("strongkeep fix mends %d findings; no Secret was rewritten, every patch is committed:", len(lines)), Notes: lines}, err
}

// mend returns a line for each remedy.
func (a *Act) mend(ctx context.Context) ([]string, error) {
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	password, err := a.Kubectl(ctx, nil, "get", "secret", "db", "--namespace=orders", "--output=jsonpath={.metadata.uid} {.data}")
	if err != nil {
		return nil, err
	}
	var out []string
	for i, m := range a.remedies() {
		fix := append([]string{"fix", m.check, "-kubeconfig=" + a.Kubeconfig}, m.args...)
		patch, err := a.Server.CLI(ctx, "", append(fix, "-o=yaml")...)
		if err != nil {
			return nil, err
		}
		if err := a.write(fmt.Sprintf("mended/%d-%s.yaml", i+1, m.check), patch); err != nil {
			return nil, err
		}
		if _, err := a.Server.CLI(ctx, "", append(fix, "-apply")...); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%s %-16s %s", m.check, m.rule, m.object))
	}
	after, err := a.Kubectl(ctx, nil, "get", "secret", "db", "--namespace=orders", "--output=jsonpath={.metadata.uid} {.data}")
	if err != nil || after != password {
		return nil, errors.Join(err, errors.New("the adopted Secret is not what it was"))
	}
	if _, err := a.Kubectl(ctx, nil, "annotate", "namespace", "orders", "billing", "strongkeep.io/access-reviewed="+time.Now().UTC().Format(time.RFC3339)+" by the demo", "--overwrite"); err != nil {
		return nil, err
	}
	return out, a.commit(ctx, "what was mended")
}

// prepare has the vault give the adopted credential to a store.
func (a *Act) prepare(ctx context.Context) error {
	if _, err := a.Kubectl(ctx, nil, "--namespace=vault-auth", "create", "configmap", "strongkeep-ca", "--from-file=ca.crt="+a.Server.CAFile()); err != nil {
		return err
	}
	if err := a.Server.All(ctx,
		[]string{"policy", "write", "adopted", a.example("adopted.hcl")},
		[]string{"write", "auth/kubernetes/role/adopted", "@" + a.example("adopted-role.json")}); err != nil {
		return err
	}
	text, err := os.ReadFile(a.example("adoption.yaml"))
	if err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	text = bytes.ReplaceAll(text, []byte("https://strongkeep.example:8200"), []byte(a.Server.URL()))
	_, err = a.Kubectl(ctx, bytes.NewReader(text), "apply", "--server-side", "-f", "-")
	return err
}

// Again asks once more: what was mended was found before, and is found no longer.
func (a *Act) Again(ctx context.Context) (report.Outcome, error) {
	now, err := a.ask(ctx)
	if err != nil {
		return report.Outcome{}, err
	}
	var wrong []string
	for _, m := range a.remedies() {
		what := strings.Join([]string{m.check, m.rule, m.object}, " ")
		if !a.before.has(m.check, m.rule, m.object) {
			wrong = append(wrong, what+" was not found before")
		}
		if now.has(m.check, m.rule, m.object) {
			wrong = append(wrong, what+" is found still")
		}
	}
	if encrypted := now.Results[0]; len(a.Control.reported()) > 0 && encrypted.Answer != "yes" {
		wrong = append(wrong, "a signed report says that all Secrets in etcd are encrypted, and the answer to "+encrypted.ID+" is "+encrypted.Answer+": "+encrypted.Summary)
	}
	if len(wrong) > 0 {
		return report.Outcome{}, errors.New(strings.Join(wrong, "; "))
	}
	return report.Outcome{Text: "what was mended is found no longer", Notes: a.lines(now)}, nil
}
