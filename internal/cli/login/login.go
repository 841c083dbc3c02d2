package login

import (
	"context"
	"os"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Command returns the login command.
func Command(s *session.Session) *cobra.Command {
	l := &login{Session: s}
	noStore, tokenOnly, noPrint := false, false, false
	c := &cobra.Command{
		Use: "login [KEY=VALUE...]", Short: "Log in and keep the token for later commands", Args: session.Args(0, -1),
		Long: `Log in with a token (asked for, or from standard input with "-"), or with an
auth method, whose fields are given as KEY=VALUE; jwt=@file reads a file, and
secret_id=- standard input.

  token       the token
  userpass    username=…; the password is asked for
  approle     role_id=…; the secret ID is asked for
  kubernetes  role=…; the jwt is the pod's own unless given
  jwt         role=… jwt=@file
  oidc        [role=…]; opens a browser. skip_browser=true prints the address;
              listenaddress, port and callbackhost say where it comes back
  cert        [name=…], with -client-cert and -client-key`,
		Example: "  strongkeep login\n  strongkeep login -method=userpass username=ann\n  strongkeep login -method=oidc role=people",
		RunE: func(c *cobra.Command, given []string) error {
			if noPrint && (noStore || tokenOnly) {
				return errs.New(errs.Invalid, "-no-print keeps the token and shows none: it goes with neither -no-store nor -token-only")
			}
			client, err := s.Client()
			if err != nil {
				return err
			}
			l.path = session.First(l.path, l.method)
			answer, err := l.run(c.Context(), client, given)
			if err != nil {
				return err
			}
			if tokenOnly {
				_, err := s.Env.Stdout.Write([]byte(answer.Auth.ClientToken + "\n"))
				return err
			}
			if noPrint {
				return l.store(answer)
			}
			return l.keep(answer, noStore)
		},
	}
	c.Flags().StringVar(&l.method, "method", "token", "auth method: token, userpass, approle, kubernetes, jwt, oidc, cert, …")
	c.Flags().StringVar(&l.path, "path", "", "where the method is mounted; default: its name")
	c.Flags().BoolVar(&noStore, "no-store", false, "print the token and do not keep it")
	c.Flags().BoolVar(&tokenOnly, "token-only", false, "print nothing but the token, and do not keep it")
	c.Flags().BoolVar(&noPrint, "no-print", false, "keep the token and print nothing of the login")
	return c
}

type login struct {
	*session.Session
	method, path string
}

// keep stores the token of a login, unless noStore, and shows the rest.
func (l *login) keep(s *vault.Secret, noStore bool) error {
	if !noStore {
		if err := l.store(s); err != nil {
			return err
		}
	}
	if l.Format == "table" && l.Field == "" && !noStore {
		s.Auth.ClientToken = "(kept)"
	}
	return l.PrintSecret(s)
}

// store keeps the token of a login for later commands.
func (l *login) store(s *vault.Secret) error {
	if err := l.KeepToken(s.Auth.ClientToken); err != nil {
		return err
	}
	if err := l.Done("Success! You are logged in; the token is kept in %s.", l.TokenFile()); err != nil {
		return err
	}
	if l.Env.Lookup("TOKEN") != "" {
		l.Warn([]string{"VAULT_TOKEN or STRONGKEEP_TOKEN is set and wins over the token just kept: unset it"})
	}
	return nil
}

func (l *login) run(ctx context.Context, client *vault.Client, given []string) (*vault.Secret, error) {
	if l.method == "token" {
		return l.byToken(ctx, client, given)
	}
	fields, err := l.Values(given, session.SecretKey)
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	if l.method == "oidc" {
		return l.byBrowser(ctx, client, fields)
	}
	target, err := l.complete(fields)
	if err != nil {
		return nil, err
	}
	s, err := client.Logical().WriteWithContext(ctx, target, fields)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Auth == nil {
		return nil, errs.Newf(errs.Invalid, "%s answered without a token: is it a login path?", target)
	}
	return s, nil
}

// serviceAccountToken is where the kubelet puts a pod's own.
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// complete asks for what a method needs and was not given, and returns the
// path of its login.
func (l *login) complete(fields map[string]any) (string, error) {
	for name, value := range fields {
		if text, ok := value.(string); ok {
			fields[name] = strings.TrimSuffix(text, "\n") // files and pipes end in one, credentials do not
		}
	}
	target := "auth/" + session.Clean(l.path) + "/login"
	if name, ok := fields["username"].(string); ok {
		delete(fields, "username")
		target += "/" + session.Clean(name)
	}
	missing := map[string]string{"userpass": "password", "ldap": "password", "approle": "secret_id"}[l.method]
	switch {
	case l.method == "userpass" && strings.HasSuffix(target, "/login"):
		return "", errs.New(errs.Invalid, "whose login is it? Give username=NAME")
	case missing != "" && fields[missing] == nil:
		value, err := l.Ask(missing)
		if err != nil {
			return "", err
		}
		fields[missing] = strings.TrimSpace(value)
	case l.method == "kubernetes" && fields["jwt"] == nil:
		jwt, err := os.ReadFile(serviceAccountToken)
		if err != nil {
			return "", errs.Newf(errs.Invalid, "there is no ServiceAccount's token at %s: give jwt=@file, or log in from a pod", serviceAccountToken)
		}
		fields["jwt"] = strings.TrimSpace(string(jwt))
	}
	return target, nil
}

func (l *login) byToken(ctx context.Context, client *vault.Client, given []string) (*vault.Secret, error) {
	if len(given) > 1 {
		return nil, errs.New(errs.Invalid, "a token login takes at most one argument: the token, or - for standard input")
	}
	var token string
	var err error
	switch {
	case len(given) == 0:
		token, err = l.AskFor("token", "use - for standard input, or set VAULT_TOKEN")
	case given[0] == "-":
		used := false
		token, err = l.ReadStdin(&used)
	default:
		l.Warn([]string{"a token on the command line stays in the shell's history: use login without an argument, or login -"})
		token = strings.TrimPrefix(given[0], "token=")
	}
	if err != nil {
		return nil, err
	}
	client.SetToken(strings.TrimSpace(token))
	s, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return ofLookup(s, client.Token())
}

// ofLookup gives a looked-up token the form that a login answers.
func ofLookup(s *vault.Secret, token string) (*vault.Secret, error) {
	accessor, err := s.TokenAccessor()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading the token's accessor: %w", err)
	}
	policies, err := s.TokenPolicies()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading the token's policies: %w", err)
	}
	ttl, err := s.TokenTTL()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading the token's TTL: %w", err)
	}
	renewable, _ := s.TokenIsRenewable()
	return &vault.Secret{Auth: &vault.SecretAuth{
		ClientToken: token, Accessor: accessor, Policies: policies, TokenPolicies: policies,
		LeaseDuration: int(ttl.Seconds()), Renewable: renewable,
	}}, nil
}
