package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/server"
	"github.com/strongkeep/strongkeep/test/demo/trail"
)

// otherAccount is the ServiceAccount that the role is not bound to.
const otherAccount = "my-app/other-app"

// refuse has another ServiceAccount of the same namespace ask for the secret, by
// an ExternalSecret and by a login of its own.
func (d *demo) refuse(ctx context.Context) (report.Outcome, error) {
	manifests, err := d.openExample("other-app.yaml")
	if err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.kube.pipe(ctx, manifests, "apply", "--server-side", "-f", "-"); err != nil {
		return report.Outcome{}, err
	}
	reason, err := d.refusalOf(ctx, "externalsecret/other-app-secrets")
	if err != nil {
		return report.Outcome{}, err
	}
	if out, err := d.kube.run(ctx, "--namespace="+appNamespace, "get", "secret", "--ignore-not-found", "other-app-secrets"); err != nil || out != "" {
		return report.Outcome{}, errors.Join(err, errors.New("the Secret other-app-secrets exists"))
	}
	token, err := d.kube.run(ctx, "--namespace="+appNamespace, "create", "token", "other-app", "--audience="+audience)
	if err != nil {
		return report.Outcome{}, err
	}
	d.canaries.Add("the token of other-app", token)
	_, err = d.server.CLI(ctx, token, "login", "-no-store", "-method=kubernetes", "role=my-app", "jwt=-")
	if server.ExitCode(err) != server.ExitDenied {
		return report.Outcome{}, fmt.Errorf("the login of %s was not denied: %w", otherAccount, err)
	}
	return report.Outcome{
		Text:  "ServiceAccount " + otherAccount + " gets nothing, and its ExternalSecret says why:",
		Notes: report.Wrap(reason),
	}, nil
}

// refusalOf waits until an object is not Ready and returns why.
func (d *demo) refusalOf(ctx context.Context, object string) (string, error) {
	_, err := d.kube.run(ctx, "--namespace="+appNamespace, "wait", "--for=condition=Ready=False", "--timeout=30s", object)
	if err != nil {
		return "", err
	}
	reason, err := d.kube.run(ctx, "--namespace="+appNamespace, "get", object,
		`--output=jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	if err == nil && (!strings.Contains(reason, "other-app") || !strings.Contains(reason, "role")) {
		err = fmt.Errorf("the reason does not say who was refused, and by which role: %s", reason)
	}
	return reason, err
}

// audit reads the audit log of all this.
func (d *demo) audit(ctx context.Context) (report.Outcome, error) {
	log, err := os.ReadFile(d.server.AuditFile())
	if err != nil {
		return report.Outcome{}, fmt.Errorf("reading the audit log: %w", err)
	}
	t, err := trail.Read(bytes.NewReader(log))
	if err != nil {
		return report.Outcome{}, err
	}
	var answer struct{ Data struct{ Hash string } }
	if err := d.server.Read(ctx, &answer, d.password, "write", "sys/audit-hash/file", "input=-"); err != nil {
		return report.Outcome{}, err
	}
	found := 0
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(answer.Data.Hash)) {
			found++
		}
	}
	return judge(t, found)
}

// judge says what the log tells, or what is wrong with that. found is the number
// of lines with the hash of the newest password: who knows a value can find out
// who has read it.
func judge(t *trail.Trail, found int) (report.Outcome, error) {
	ofSecret := func(a trail.Access) bool { return a.Path == "secret/data/my-app/config" && a.Error == "" }
	reads := t.Count(func(a trail.Access) bool { return ofSecret(a) && a.Who == appAccount && a.Operation == "read" })
	refusals := t.Count(func(a trail.Access) bool { return a.Path == "auth/kubernetes/login" && a.Error != "" })
	strangers := t.Find(func(a trail.Access) bool { return ofSecret(a) && a.Who != appAccount && a.Who != "root" })
	if len(strangers) > 0 {
		return report.Outcome{}, fmt.Errorf("the log says that %q had the secret", strangers[0].Who)
	}
	if reads == 0 || refusals == 0 || found == 0 {
		return report.Outcome{}, fmt.Errorf("the log has %d reads by %s, %d refused logins and %d lines with the password's hash: each happened",
			reads, appAccount, refusals, found)
	}
	return report.Outcome{
		Text: fmt.Sprintf("%s lines in the log, which hold %s values as HMAC and none in the clear", report.Count(t.Lines), report.Count(t.Hashed)),
		Notes: []string{
			fmt.Sprintf("ServiceAccount %s read secret/data/my-app/config %s, and nobody else did", appAccount, report.Times(reads)),
			"a login at auth/kubernetes/login was refused " + report.Times(refusals),
			fmt.Sprintf("the password, by its hash from sys/audit-hash/file, is found in %d lines", found),
		},
	}, nil
}
