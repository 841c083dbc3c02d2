package fix

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/adoption"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// engine is the vault of the session, as an adoption writes it.
type engine struct {
	*session.Session
	client *vault.Client
}

var _ adoption.Vault = (*engine)(nil)

// Mount implements adoption.Vault.
func (e *engine) Mount(ctx context.Context, path string) (string, error) {
	about, err := e.client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+path)
	if err != nil {
		err = e.Explain(err)
		return "", errs.Newf(errs.KindOf(err), "finding the mount of -path=%s: %w; is a KV engine mounted there?", path, err)
	}
	if about == nil {
		return "", errs.Newf(errs.NotExist, "no mount of the vault holds %s: enable one (strongkeep secrets enable -path=secret -version=2 kv), or correct -path", path)
	}
	at := session.Clean(session.Text(about.Data["path"]))
	options, _ := about.Data["options"].(map[string]any)
	if session.Text(about.Data["type"]) != "kv" || session.Text(options["version"]) != "2" {
		return "", errs.Newf(errs.Unsupported, "%s lies in %s, which is no KV engine of version 2: only there nothing is written over (check-and-set)", path, at)
	}
	if !strings.HasPrefix(path, at+"/") {
		return "", errs.Newf(errs.Invalid, "-path=%s names the mount alone: say where in it, such as %s/shop/db", path, at)
	}
	return at, nil
}

// data is the API's path of a version's data.
func (e *engine) data(ctx context.Context, path string) (string, error) {
	at, err := e.Mount(ctx, path)
	return at + "/data/" + strings.TrimPrefix(path, at+"/"), err
}

// Read implements adoption.Vault.
func (e *engine) Read(ctx context.Context, path string) (map[string]redact.Secret, error) {
	data, err := e.data(ctx, path)
	if err != nil {
		return nil, err
	}
	got, err := e.client.Logical().ReadWithContext(ctx, data)
	if err != nil {
		return nil, e.Explain(err)
	}
	if got == nil {
		return nil, nil
	}
	fields, ok := got.Data["data"].(map[string]any)
	if !ok {
		return nil, errs.Newf(errs.Conflict, "what lay at %s in the vault was deleted, and has versions still: choose another -path, or take it away for good (strongkeep kv metadata delete %s)", path, path)
	}
	out := map[string]redact.Secret{}
	for name, value := range fields {
		if text, ok := value.(string); ok {
			out[name] = redact.FromString(text)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, errs.Newf(errs.Internal, "reading %s: field %s is no JSON", path, name)
		}
		out[name] = redact.New(raw)
	}
	return out, nil
}

// Create implements adoption.Vault.
func (e *engine) Create(ctx context.Context, path string, fields map[string]redact.Secret) error {
	data, err := e.data(ctx, path)
	if err != nil {
		return err
	}
	values := map[string]any{}
	for name, value := range fields {
		values[name] = value.RevealString()
	}
	_, err = e.client.Logical().WriteWithContext(ctx, data, map[string]any{"data": values, "options": map[string]any{"cas": 0}})
	var refused *vault.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusBadRequest {
		if have, again := e.Read(ctx, path); again == nil && have != nil {
			return errs.Newf(errs.Exist, "somebody wrote %s meanwhile: nothing goes over it", path)
		}
	}
	if err != nil {
		return e.Explain(err)
	}
	return nil
}
