package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// decode turns an HTTP request into a gate request. Its errors are client
// errors and never quote the body.
func (h *Handler) decode(w http.ResponseWriter, r *http.Request, path string) (*gate.Request, error) {
	req := &gate.Request{ID: newRequestID(), Path: path, Time: h.cfg.Now().UTC()}
	req.Remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	req.Headers = r.Header
	req.Namespace = strings.Trim(headerValue(r, "X-Vault-Namespace"), "/")
	req.Token = requestToken(r)
	req.Indexes, req.Impatient = r.Header["X-Vault-Index"], r.Header.Get("X-Vault-Inconsistent") == "fail"
	if r.TLS != nil {
		req.Certificates = r.TLS.PeerCertificates
	}
	var err error
	if req.WrapTTL, err = wrapTTL(r); err != nil {
		return nil, err
	}
	var query url.Values
	if r.URL.RawQuery != "" {
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, errs.New(errs.Invalid, "malformed query string in the URL")
		}
	}
	if req.Operation, err = operation(r, query); err != nil {
		return nil, err
	}
	req.Body, err = bodyOf(w, r, req, query)
	if req.Operation == engine.List && !strings.HasSuffix(req.Path, "/") {
		req.Path += "/"
	}
	return req, err
}

// bodyOf is what the body says, or the query.
func bodyOf(w http.ResponseWriter, r *http.Request, req *gate.Request, query url.Values) (engine.Body, error) {
	switch {
	case req.Operation == engine.Update && opaque(req.Path): // it is refused, and told why
		return engine.Body{}, nil
	case req.Operation == engine.Update, req.Operation == engine.Patch,
		req.Operation == engine.Delete && r.ContentLength > 0 && len(query) == 0: // as the official client cancels a rekey
		return readBody(w, r)
	}
	query.Del("list") // these steer the wire itself; in a form they are fields like any other
	query.Del("help")
	return fieldsBody(query), nil
}

// opaque reports whether clients send a whole snapshot as the body.
func opaque(path string) bool {
	return path == "sys/storage/raft/snapshot" || path == "sys/storage/raft/snapshot-force"
}

// operation is what the method asks for. Whatever would change something asks
// for help alone if its query says so.
func operation(r *http.Request, query url.Values) (engine.Operation, error) {
	op, err := methodOperation(r, query)
	if err == nil && asksForHelp(query) {
		return engine.Help, nil
	}
	return op, err
}

func methodOperation(r *http.Request, query url.Values) (engine.Operation, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return readOrList(query.Get("list"))
	case http.MethodPost, http.MethodPut:
		return engine.Update, nil
	case http.MethodPatch:
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if media != "application/merge-patch+json" {
			return 0, errMediaType
		}
		return engine.Patch, nil
	case http.MethodDelete:
		return engine.Delete, nil
	case "LIST":
		return engine.List, nil
	}
	return 0, errs.Newf(errs.Unsupported, "unsupported method %q: use GET, LIST, POST, PUT, PATCH or DELETE", r.Method)
}

func readOrList(asked string) (engine.Operation, error) {
	if asked == "" {
		return engine.Read, nil
	}
	list, err := strconv.ParseBool(asked)
	switch {
	case err != nil:
		return 0, errs.New(errs.Invalid, "query parameter list must be true or false")
	case list:
		return engine.List, nil
	}
	return engine.Read, nil
}

var errMediaType = errs.New(errs.Unsupported, "PATCH requires Content-Type: application/merge-patch+json")

func errIsMediaType(err error) bool { return errors.Is(err, errMediaType) }

// headerValue is Header.Get for names already in canonical form.
func headerValue(r *http.Request, name string) string {
	if v := r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// requestToken reads X-Vault-Token, else Authorization: Bearer.
func requestToken(r *http.Request) redact.Secret {
	if t := headerValue(r, "X-Vault-Token"); t != "" {
		return redact.FromString(t)
	}
	if bearer, ok := strings.CutPrefix(headerValue(r, "Authorization"), "Bearer "); ok {
		return redact.FromString(strings.TrimSpace(bearer))
	}
	return redact.Secret{}
}

func wrapTTL(r *http.Request) (time.Duration, error) {
	v := headerValue(r, "X-Vault-Wrap-Ttl")
	if v == "" {
		return 0, nil
	}
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, errs.New(errs.Invalid, "X-Vault-Wrap-TTL must be seconds or a duration such as 5m")
	}
	return d, nil
}

// readBody parses a form if the content type says so and the first byte is not
// JSON's, otherwise JSON whatever the content type.
func readBody(w http.ResponseWriter, r *http.Request) (engine.Body, error) {
	if r.ContentLength > MaxBody {
		return engine.Body{}, tooLarge()
	}
	raw, err := slurp(http.MaxBytesReader(w, r.Body, MaxBody), r.ContentLength)
	if err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return engine.Body{}, tooLarge()
		}
		return engine.Body{}, errs.New(errs.Invalid, "reading the request body: the connection ended early")
	}
	media := headerValue(r, "Content-Type")
	if media == "application/ocsp-request" {
		return engine.BinaryBody(raw), nil
	}
	if strings.HasPrefix(media, "application/x-www-form-urlencoded") && len(raw) > 0 && raw[0] != '{' && raw[0] != '[' {
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return engine.Body{}, errs.New(errs.Invalid, "malformed form in the request body")
		}
		return fieldsBody(form), nil
	}
	return engine.ParseBody(raw)
}

// slurp reads all of r, in one allocation when the length is known and modest.
func slurp(r io.Reader, length int64) ([]byte, error) {
	if length <= 0 || length > 1<<20 {
		return io.ReadAll(r)
	}
	buf := make([]byte, length)
	_, err := io.ReadFull(r, buf)
	return buf, err
}

func tooLarge() error {
	return errs.Newf(errs.TooLarge, "the request body is larger than %d MiB", MaxBody>>20)
}

// fieldsBody makes fields of query or form values: a string each, or a list
// where a name repeats.
func fieldsBody(given url.Values) engine.Body {
	if len(given) == 0 {
		return engine.Body{}
	}
	fields := make(map[string]jsontext.Value, len(given))
	for name, values := range given {
		name = strings.ToValidUTF8(name, "\uFFFD")
		if len(values) == 1 {
			fields[name] = appendString(nil, values[0])
			continue
		}
		list := []byte{'['}
		for i, v := range values {
			if i > 0 {
				list = append(list, ',')
			}
			list = appendString(list, v)
		}
		fields[name] = append(list, ']')
	}
	return engine.NewBody(fields)
}
