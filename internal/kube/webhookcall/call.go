package webhookcall

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Request is what one call adds to an Endpoint.
type Request struct {
	// Method in place of the endpoint's; Usual when that names none either, and GET
	// without it.
	Method, Usual string
	// Values are what templates may use under the name Group.
	Group  string
	Values map[string]string
	// Hidden are such that are not for the URL, which others write down.
	Hidden map[string]string
	// Body is the body's template, where the endpoint has none; NoBody sends none.
	Body   string
	NoBody bool
}

// Text runs a template, such as a JSONPath's, over what r and the Secrets give. name
// is for messages.
func (e *Endpoint) Text(name, source string, r Request) (string, error) {
	text, err := template.NewNested(e.secrets.with(r).plain, e.limits, e.now).Text(name, source)
	return string(text), err
}

// Do makes a request and returns the answer, which is of a status of success. Kinds of
// error: NotExist is a 404 that is no page for people, Conflict 409 and 412, Denied 401
// and 403, Exhausted 429, Unavailable what is worth another try, Invalid the rest. None
// quotes the answer or what was sent.
func (e *Endpoint) Do(ctx context.Context, r Request) ([]byte, error) {
	req, err := e.request(ctx, r)
	if err != nil {
		return nil, err
	}
	answer, done, err := e.send(req)
	defer done()
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // read, or given up
	if err := refusal(answer, e.spec.Field); err != nil {
		return nil, err
	}
	text, err := outbound.ReadAll(answer)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "the webhook's answer: %w", err)
	}
	return text, nil
}

// send makes a request. done is called when its answer is read.
func (e *Endpoint) send(req *http.Request) (answer *http.Response, done func(), err error) {
	if e.user != nil {
		return e.user.send(e.out, req)
	}
	if answer, err = e.http.Do(req); err != nil {
		err = unreached(req, err)
	}
	return answer, func() {}, err
}

func unreached(req *http.Request, err error) error {
	return outbound.Unreached("the webhook at "+req.URL.Host, err)
}

// request runs the templates. What stands in the URL is escaped.
func (e *Endpoint) request(ctx context.Context, r Request) (*http.Request, error) {
	values := e.secrets.with(r)
	run := template.NewNested(values.plain, e.limits, e.now)
	at, err := e.url(run.WithNested(values.escaped))
	if err != nil {
		return nil, err
	}
	source := e.spec.Body
	if source == "" {
		source = r.Body
	}
	var body []byte
	if !r.NoBody {
		if body, err = run.Text("body", source); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "%sbody: %w", e.spec.Field, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, e.method(r), at.String(), strings.NewReader(string(body)))
	if err != nil {
		return nil, errs.New(errs.Invalid, e.spec.Field+"url is no address")
	}
	if err := e.headers(run, req); err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); len(body) > 0 && isJSON(kind) && !json.Valid(body) {
		return nil, errs.Newf(errs.Invalid, "%sbody: what the template makes is not the JSON that Content-Type says it is: write values with toJson, which adds quotes and escapes what is in them", e.spec.Field)
	}
	return req, nil
}

func isJSON(kind string) bool { return kind == "application/json" || strings.HasSuffix(kind, "+json") }

func (e *Endpoint) method(r Request) string {
	for _, method := range []string{r.Method, e.spec.Method, r.Usual} {
		if method != "" {
			return strings.ToUpper(method)
		}
	}
	return http.MethodGet
}

func (e *Endpoint) headers(run *template.Run, req *http.Request) error {
	field := e.spec.Field + "headers"
	req.Header.Set("User-Agent", "strongkeep")
	for name, source := range e.spec.Headers {
		value, err := run.Text("header "+name, source)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "%s: %w", field, err)
		}
		if !headers.MatchString(name) || strings.ContainsAny(string(value), "\r\n\x00") {
			return errs.Newf(errs.Invalid, "%s: %.256q has a name or a value that no header can have", field, name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = string(value)
			continue
		}
		req.Header.Set(name, string(value))
	}
	return nil
}

// refusal is the error that a status means; nil for success.
func refusal(answer *http.Response, field string) error { //nolint:cyclop // flat: a case after the other
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		return errs.Newf(errs.Invalid, "the webhook answers %d: redirects are not followed; set %surl to where it is", status, field)
	case status == http.StatusNotFound && kind == "text/html":
		return errs.Newf(errs.Invalid, "the webhook answers 404 with a page for people, as a proxy does that knows no such address, and not with its own word that there is nothing: check %surl", field)
	case status == http.StatusNotFound:
		return errs.New(errs.NotExist, "the webhook answers 404: there is nothing")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errs.Newf(errs.Denied, "the webhook answers %d: check what it logs in with", status)
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return errs.Newf(errs.Conflict, "the webhook answers %d", status)
	case status == http.StatusTooManyRequests:
		return errs.Newf(errs.Exhausted, "the webhook answers %d", status)
	case status == http.StatusRequestEntityTooLarge:
		return errs.Newf(errs.TooLarge, "the webhook answers %d", status)
	case status == http.StatusRequestTimeout, status >= 500:
		return errs.Newf(errs.Unavailable, "the webhook answers %d: it is tried again", status)
	default:
		return errs.Newf(errs.Invalid, "the webhook answers %d", status)
	}
}
