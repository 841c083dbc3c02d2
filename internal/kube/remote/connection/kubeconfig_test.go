package connection

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const canary = "canary-7d20"

// file is a kubeconfig with server and user as given, in YAML's flow style.
func file(server, user string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {" + server + "}}]\nusers: [{name: u, user: {" + user + "}}]\n"
}

const (
	goodServer = "server: 'https://east.example:6443'"
	goodUser   = "token: " + canary
)

// Who may write a Secret gets the operator to run nothing, to read no file of its
// own, and to send no login to who cannot show a certificate.
func TestKubeconfig(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		kind errs.Kind
		says string
	}{
		"a token":               {file(goodServer, goodUser), errs.Internal, ""},
		"a command":             {file(goodServer, "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: ["+canary+"], interactiveMode: Never}"), errs.Invalid, "runs a command"},
		"a command and a token": {file(goodServer, goodUser+", exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}"), errs.Invalid, "runs a command"},
		"an auth-provider":      {file(goodServer, "auth-provider: {name: oidc, config: {id-token: "+canary+"}}"), errs.Unsupported, "auth-provider"},
		"a token file":          {file(goodServer, "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token"), errs.Invalid, "names files"},
		"a token and its file":  {file(goodServer, goodUser+", tokenFile: /etc/passwd"), errs.Invalid, "names files"},
		"a certificate's file":  {file(goodServer, "client-certificate: /etc/a, client-key: /etc/b"), errs.Invalid, "names files"},
		"a key's file":          {file(goodServer, goodUser+", client-key: /etc/b"), errs.Invalid, "names files"},
		"an authority's file":   {file(goodServer+", certificate-authority: /etc/ssl/x", goodUser), errs.Invalid, "certificate-authority-data"},
		"as somebody":           {file(goodServer, goodUser+", as: admin"), errs.Unsupported, "impersonates"},
		"in groups":             {file(goodServer, goodUser+", as-groups: [system:masters]"), errs.Unsupported, "impersonates"},
		"a password":            {file(goodServer, "username: a, password: "+canary), errs.Unsupported, "password"},
		"half a certificate":    {file(goodServer, "client-certificate-data: YQ=="), errs.Invalid, "not the other"},
		"no login":              {file(goodServer, ""), errs.Invalid, "logs in by nothing"},
		"unverified":            {file(goodServer+", insecure-skip-tls-verify: true", goodUser), errs.Invalid, "insecure-skip-tls-verify"},
		"a proxy":               {file(goodServer+", proxy-url: 'http://127.0.0.1:1'", goodUser), errs.Unsupported, "proxy"},
		"in the clear":          {file("server: 'http://east.example'", goodUser), errs.Invalid, "https"},
		"a user in the address": {file("server: 'https://a:"+canary+"@east.example'", goodUser), errs.Invalid, "https"},
		"no address":            {file("server: ''", goodUser), errs.Invalid, "https"},
		"a socket":              {file("server: 'unix:///var/run/x'", goodUser), errs.Invalid, "https"},
		"no YAML":               {"{" + canary, errs.Invalid, "is not one"},
		"another type":          {"current-context: [" + canary + "]", errs.Invalid, "is not one"},
		"nothing":               {"", errs.Invalid, "no current context"},
		"no such context":       {"current-context: x\nusers: [{name: u, user: {token: " + canary + "}}]", errs.Invalid, "no current context"},
		"no such cluster":       {"current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n", errs.Invalid, "no cluster"},
		"no such user":          {"current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {" + goodServer + "}}]\n", errs.Invalid, "no user"},
		"too much":              {"# " + strings.Repeat("x", maxFile), errs.TooLarge, "1 MiB"},
	} {
		cfg, err := Kubeconfig([]byte(c.raw))
		if c.says == "" {
			if err != nil || cfg.Host != "https://east.example:6443" || cfg.BearerToken != canary || cfg.Timeout == 0 {
				t.Errorf("%s: %+v, %v", name, cfg, err)
			}
			continue
		}
		if err == nil || errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%v), want %v with %q", name, err, errs.KindOf(err), c.kind, c.says)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error quotes the kubeconfig", name)
		}
	}
}

func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(file(goodServer, goodUser)))
	f.Add([]byte(file(goodServer, "exec: {command: x}")))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := Kubeconfig(raw)
		switch {
		case err != nil:
			if errs.KindOf(err) == errs.Internal {
				t.Errorf("an error without a kind: %v", err)
			}
		case !strings.HasPrefix(cfg.Host, "https://") && !strings.HasPrefix(cfg.Host, "HTTPS://") && !strings.EqualFold(cfg.Host[:5], "https"):
			t.Errorf("host %q", cfg.Host)
		case cfg.ExecProvider != nil || cfg.AuthProvider != nil || cfg.BearerTokenFile != "" || cfg.CertFile != "" || cfg.KeyFile != "" || cfg.CAFile != "" || cfg.Insecure || cfg.Proxy != nil:
			t.Errorf("%+v", cfg)
		}
	})
}
