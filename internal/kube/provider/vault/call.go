package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

var _ provider.Caller = (*store)(nil)

// Call makes one request below /v1/. method is GET, LIST, POST, PUT or DELETE.
// The client may send it several times when no answer comes, so what it asks for
// must bear that.
func (s *store) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	c, err := newCall(method, path, body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := s.send(ctx, c)
	if errs.Is(err, errs.Denied) && s.afterDenied(ctx, l) {
		answer, err = s.send(ctx, c)
	}
	if errs.Is(err, errs.Denied) {
		return nil, errs.Newf(errs.Denied, `%w; give the policies of %s the capability "%s" on "%s"`, err, s.settings.Auth, capability(method), c.path)
	}
	return answer, err
}

// call is one request, checked and encoded.
type call struct {
	method, path string
	query        url.Values
	body         []byte
}

func newCall(method, path string, body any) (call, error) {
	c, err := address(path)
	if err != nil {
		return call{}, err
	}
	c.method = method
	if body != nil {
		if c.body, err = json.Marshal(body); err != nil {
			return call{}, errs.Newf(errs.Internal, "encoding the body of %s %q: it is no JSON", method, c.path) // the error may quote it
		}
	}
	switch method {
	case http.MethodGet:
	case "LIST":
		c.query.Set("list", "true")
	case http.MethodPost, http.MethodPut, http.MethodDelete:
		if len(c.query) > 0 {
			return call{}, errs.Newf(errs.Internal, "%s %q cannot have a query", method, c.path)
		}
	default:
		return call{}, errs.Newf(errs.Internal, "%q is not a method of the vault's API", method)
	}
	return c, nil
}

// address reads the path and query of a call.
func address(path string) (call, error) {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.Fragment != "" {
		return call{}, errs.Newf(errs.Invalid, "%q is not a path of the vault's API", path)
	}
	if err := checkSegments(u.Path); err != nil {
		return call{}, errs.Newf(errs.Invalid, "calling the vault: %w", err)
	}
	return call{path: u.Path, query: u.Query()}, nil
}

func capability(method string) string {
	switch method {
	case http.MethodGet:
		return "read"
	case http.MethodDelete:
		return "delete"
	case "LIST":
		return "list"
	}
	return "update"
}

// send makes the request once, as far as the client's own retries allow.
func (s *store) send(ctx context.Context, c call) (json.RawMessage, error) {
	if c.method == http.MethodPost || c.method == http.MethodPut {
		return s.write(ctx, c)
	}
	answer, err := s.raw(ctx, c)
	if answer != nil {
		defer answer.Body.Close() //nolint:errcheck // read to the end or given up
	}
	if err != nil {
		err = classify(err, c.doing(s))
		if errs.Is(err, errs.NotExist) && !saysMissing(answer) {
			err = errs.Newf(errs.Invalid, "%w (the answer is not Vault's: check spec.provider.vault.server)", err)
		}
		return nil, err
	}
	text, err := io.ReadAll(answer.Body) // bounded
	if err != nil {
		return nil, classify(err, c.doing(s))
	}
	if len(text) == 0 {
		return nil, nil
	}
	var body answerBody
	if json.Unmarshal(text, &body) != nil {
		return nil, errs.Newf(errs.Invalid, "%s: the answer is not Vault's JSON: check spec.provider.vault.server", c.doing(s))
	}
	if string(body.Data) == "null" {
		return nil, nil
	}
	return body.Data, nil
}

// write lets the client read the answer: its raw writes end their context
// before a caller could.
func (s *store) write(ctx context.Context, c call) (json.RawMessage, error) {
	answer, err := s.kv.Logical().WriteBytesWithContext(ctx, c.path, c.body)
	if err != nil {
		return nil, classify(err, c.doing(s))
	}
	if answer == nil || answer.Data == nil {
		return nil, nil
	}
	data, err := json.Marshal(answer.Data) // numbers keep their digits
	if err != nil {
		return nil, errs.Newf(errs.Internal, "%s: encoding the answer's data", c.doing(s))
	}
	return data, nil
}

func (c call) doing(s *store) string {
	return fmt.Sprintf("calling %s %q at %s", c.method, c.path, s.settings.Server)
}

func (s *store) raw(ctx context.Context, c call) (*api.Response, error) {
	if c.method == http.MethodDelete {
		return s.kv.Logical().DeleteRawWithContext(ctx, c.path)
	}
	return s.kv.Logical().ReadRawWithDataWithContext(ctx, c.path, c.query)
}
