package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/failure"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// maxBody bounds an answer.
const maxBody = failure.MaxBody

func classify(err error, doing string) error { return failure.Classify(err, doing) }

// Read reads one KV secret. For v2 the value is the object under data.data and
// the version its number; for v1 the object under data.
func (s *store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	path, query, err := s.target(req)
	if err != nil {
		return provider.Value{}, err
	}
	body, err := s.fetch(ctx, path, query)
	if err != nil {
		return provider.Value{}, s.explain(err, req, path)
	}
	return s.value(body, req, path)
}

// fetch makes one GET with a good login, and once more with a new one when the
// server no longer knows that.
func (s *store) fetch(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	body, err := s.get(ctx, path, query)
	if errs.Is(err, errs.Denied) && s.afterDenied(ctx, l) {
		body, err = s.get(ctx, path, query)
	}
	return body, err
}

// target returns the path and query of a request.
func (s *store) target(req provider.Request) (string, url.Values, error) {
	path, err := dataPath(s.settings.Path, s.settings.Version, req.Key)
	if err != nil {
		return "", nil, err
	}
	if s.settings.Version == "v1" {
		switch {
		case req.Version != "":
			return "", nil, errs.Newf(errs.Unsupported, "key %q: KV v1 has no versions: leave version out", req.Key)
		case req.Metadata:
			return "", nil, errs.Newf(errs.Unsupported, "key %q: KV v1 has no metadata: leave metadataPolicy out", req.Key)
		}
		return path, nil, nil
	}
	if req.Metadata {
		return metadataPath(s.settings.Path, path), nil, nil
	}
	if req.Version != "" {
		return path, url.Values{"version": {req.Version}}, nil
	}
	return path, nil, nil
}

func (s *store) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	answer, err := s.kv.Logical().ReadRawWithDataWithContext(ctx, path, query)
	if answer != nil {
		defer answer.Body.Close() //nolint:errcheck // read to the end or given up
	}
	if err != nil {
		err = classify(err, fmt.Sprintf("reading %q at %s", path, s.settings.Server))
		if errs.Is(err, errs.NotExist) && !saysMissing(answer) {
			err = errs.Newf(errs.Invalid, "%w (the answer is not Vault's: check spec.provider.vault.server)", err)
		}
		return nil, err
	}
	body, err := io.ReadAll(answer.Body) // bounded
	if err != nil {
		return nil, classify(err, fmt.Sprintf("reading %q at %s", path, s.settings.Server))
	}
	return body, nil
}

// saysMissing reports whether a 404 is Vault's own: {"errors":[]}, or for a
// deleted version its {"data":…}. A proxy's 404, JSON or not, must not look like
// a deletion: with deletionPolicy Delete that ends the Kubernetes Secret.
func saysMissing(answer *api.Response) bool {
	if answer == nil {
		return false
	}
	var body struct{ Errors, Data json.RawMessage }
	err := json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&body)
	return err == nil && (len(body.Errors) > 0 || len(body.Data) > 0)
}

// explain says in the message what to do.
func (s *store) explain(err error, req provider.Request, path string) error {
	switch errs.KindOf(err) {
	case errs.Denied:
		return errs.Newf(errs.Denied, `%w; give the policies of %s the capability "read" on "%s"`, err, s.settings.Auth, path)
	case errs.NotExist:
		if req.Version != "" {
			return errs.Newf(errs.NotExist, "secret %q has no version %q, or it was deleted, at %s (path %s)", req.Key, req.Version, s.settings.Server, path)
		}
		return errs.Newf(errs.NotExist, "secret %q does not exist, or its latest version was deleted, at %s (path %s)", req.Key, s.settings.Server, path)
	}
	return err
}

// answerBody is what of an answer matters. Data stays the bytes it came as.
type answerBody struct {
	Data json.RawMessage `json:"data"`
}

type kv2Body struct {
	Data     json.RawMessage `json:"data"`
	Metadata struct {
		Version json.Number `json:"version"`
	} `json:"metadata"`
	CustomMetadata json.RawMessage `json:"custom_metadata"`
	CurrentVersion json.Number     `json:"current_version"`
}

func (s *store) value(body []byte, req provider.Request, path string) (provider.Value, error) {
	bad := func() (provider.Value, error) {
		return provider.Value{}, errs.Newf(errs.Invalid, "reading %q at %s: the answer is not what a KV %s engine gives: check spec.provider.vault.version and path",
			path, s.settings.Server, s.settings.Version)
	}
	var outer answerBody
	if json.Unmarshal(body, &outer) != nil || len(outer.Data) == 0 {
		return bad()
	}
	if s.settings.Version == "v1" {
		if !isObject(outer.Data) {
			return bad()
		}
		return provider.Value{Data: canonical(outer.Data), Version: versionOf(path, outer.Data)}, nil
	}
	var inner kv2Body
	if json.Unmarshal(outer.Data, &inner) != nil {
		return bad()
	}
	switch {
	case req.Metadata && inner.CurrentVersion == "":
		return bad()
	case req.Metadata:
		return inner.metadata(), nil
	case string(inner.Data) == "null":
		return provider.Value{}, s.explain(errs.New(errs.NotExist, ""), req, path)
	case !isObject(inner.Data):
		return bad()
	}
	return provider.Value{Data: canonical(inner.Data), Version: inner.Metadata.Version.String()}, nil
}

func (b *kv2Body) metadata() provider.Value {
	if len(b.CustomMetadata) == 0 || string(b.CustomMetadata) == "null" {
		b.CustomMetadata = json.RawMessage("{}")
	}
	return provider.Value{Data: canonical(b.CustomMetadata), Version: b.CurrentVersion.String()}
}

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// versionOf returns the version that the database engine gives with what it
// publishes at alternating-creds/NAME, a number. Anywhere else "version" may be
// a part of the secret, and is not public.
func versionOf(path string, data json.RawMessage) string {
	segments := strings.Split(path, "/")
	if len(segments) < 3 || segments[len(segments)-2] != "alternating-creds" {
		return ""
	}
	var published struct{ Version json.RawMessage }
	if json.Unmarshal(data, &published) != nil {
		return ""
	}
	version := strings.Trim(string(published.Version), `"`)
	if _, err := strconv.ParseUint(version, 10, 64); err != nil {
		return ""
	}
	return version
}

// canonical writes an object with sorted keys, no white space and no needless
// escapes (servers write "<" as "\u003c"), so that the same secret is the same
// bytes however a server encodes it. Numbers keep their digits.
func canonical(raw json.RawMessage) redact.Secret {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var object any
	if dec.Decode(&object) == nil {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		if enc.Encode(object) == nil {
			return redact.New(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
		}
	}
	return redact.New(bytes.Clone(raw))
}
