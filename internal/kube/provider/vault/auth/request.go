package auth

import (
	"context"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Source gives what logins are made of. Kinds of errors are provider.Cluster's;
// field is where the reference stands, for messages.
type Source interface {
	// SecretKey reads a Secret; key is read where ref names none.
	SecretKey(ctx context.Context, field string, ref *v1.SecretKeySelector, key string) (redact.Secret, error)
	// Token asks for a ServiceAccount's token.
	Token(ctx context.Context, field string, account *v1.ServiceAccountSelector, audiences []string) (redact.Secret, error)
	// Signed makes the body of a login by who one is in a cloud, as Auth.Cloud does.
	Signed(ctx context.Context) (map[string]any, error)
}

// defaultAudience is that of tokens for auth.jwt.
const defaultAudience = "vault"

// Request returns where to log in, and with what. There is none for a given token.
func (a *Auth) Request(ctx context.Context, from Source) (path string, body map[string]any, err error) {
	login := "auth/" + a.Mount() + "/login"
	switch {
	case a.Kubernetes != nil:
		body, err = a.Kubernetes.request(ctx, from)
	case a.AppRole != nil:
		body, err = a.AppRole.request(ctx, from)
	case a.LDAP != nil:
		body, err = a.LDAP.request(ctx, from, "auth.ldap")
		login += "/" + a.LDAP.Username
	case a.UserPass != nil:
		body, err = a.UserPass.request(ctx, from, "auth.userPass")
		login += "/" + a.UserPass.Username
	case a.JWT != nil:
		body, err = a.JWT.request(ctx, from)
	case a.cloud() != nil:
		body, err = from.Signed(ctx)
	case a.Cert != nil: // the connection has the certificate
		body = named(map[string]any{}, "name", a.Cert.Role)
	}
	return login, body, err
}

func (k *Kubernetes) request(ctx context.Context, from Source) (map[string]any, error) {
	var jwt redact.Secret
	var err error
	if k.SecretRef != nil {
		jwt, err = from.SecretKey(ctx, "auth.kubernetes.secretRef", k.SecretRef, "token")
	} else {
		jwt, err = from.Token(ctx, "auth.kubernetes.serviceAccountRef", k.ServiceAccountRef, k.ServiceAccountRef.Audiences)
	}
	return map[string]any{"role": k.Role, "jwt": jwt.RevealString()}, err
}

func (r *AppRole) request(ctx context.Context, from Source) (map[string]any, error) {
	roleID := r.RoleID
	if r.RoleRef != nil {
		id, err := from.SecretKey(ctx, "auth.appRole.roleRef", r.RoleRef, "")
		if err != nil {
			return nil, err
		}
		roleID = id.RevealString()
	}
	secretID, err := from.SecretKey(ctx, "auth.appRole.secretRef", &r.SecretRef, "")
	return map[string]any{"role_id": roleID, "secret_id": secretID.RevealString()}, err
}

func (u *User) request(ctx context.Context, from Source, field string) (map[string]any, error) {
	password, err := from.SecretKey(ctx, field+".secretRef", &u.SecretRef, "password")
	return map[string]any{"password": password.RevealString()}, err
}

func (j *JWT) request(ctx context.Context, from Source) (map[string]any, error) {
	var jwt redact.Secret
	var err error
	if j.SecretRef != nil {
		jwt, err = from.SecretKey(ctx, "auth.jwt.secretRef", j.SecretRef, "token")
	} else {
		jwt, err = from.Token(ctx, "auth.jwt.kubernetesServiceAccountToken.serviceAccountRef", &j.ServiceAccount.ServiceAccountRef, j.ServiceAccount.all())
	}
	return named(map[string]any{"jwt": jwt.RevealString()}, "role", j.Role), err
}

// all are the audiences that a token is to have.
func (t *AccountToken) all() []string {
	all := append(append([]string(nil), t.ServiceAccountRef.Audiences...), t.Audiences...)
	if len(all) == 0 {
		return []string{defaultAudience}
	}
	return all
}

// named adds what the method has a default for.
func named(body map[string]any, field, value string) map[string]any {
	if value != "" {
		body[field] = value
	}
	return body
}
