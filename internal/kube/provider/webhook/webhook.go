package webhook

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the key under spec.provider.
const Name = "webhook"

// Settings is the value of spec.provider.webhook. URL, Headers, Body and
// Result.JSONPath are templates.
type Settings struct {
	Method  string            `json:"method,omitempty"` // GET to read and POST to write when empty
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Timeout *metav1.Duration  `json:"timeout,omitempty"`
	Result  Result            `json:"result,omitzero"`
	// Secrets that the templates may use, each under its name.
	Secrets    []webhookcall.Secret `json:"secrets,omitempty"`
	CABundle   []byte               `json:"caBundle,omitempty"` // PEM, base64 in JSON
	CAProvider *v1.CAProvider       `json:"caProvider,omitempty"`
	Auth       *webhookcall.Auth    `json:"auth,omitempty"`
}

// Result says what of an answer is the secret.
type Result struct {
	JSONPath string `json:"jsonPath,omitempty"` // the whole answer when empty
}

// Provider opens stores on endpoints.
type Provider struct {
	// Private are the private networks where endpoints may be; see outbound.Config.
	Private []netip.Prefix
	// Loopback allows endpoints on this machine. For tests.
	Loopback bool
	// Limits bound the templates.
	Limits template.Limits
}

const (
	prefix = "spec.provider.webhook."
	// group is what templates know a request by.
	group = "remoteRef"
	// maxAnswer bounds an answer, of which a Secret takes 1 MiB.
	maxAnswer = 2 << 20
	maxIdle   = 16
)

var (
	_ provider.Provider = Provider{}
	_ provider.Writer   = (*store)(nil)
	_ provider.Picker   = (*store)(nil)
)

// store is one endpoint.
type store struct {
	settings  Settings
	endpoint  *webhookcall.Endpoint
	namespace string // of a SecretStore
	picks     bool
	retry     provider.Retry
	clock     clock.Clock
}

// Open reads the settings and what they refer to. It asks nothing.
func (p Provider) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	endpoint, err := webhookcall.Open(ctx, webhookcall.Spec{
		Field: prefix, Method: s.Method, URL: s.URL, Headers: s.Headers, Body: s.Body, Timeout: s.Timeout,
		CABundle: s.CABundle, CAProvider: s.CAProvider, Secrets: s.Secrets, Auth: s.Auth,
	}, webhookcall.Reach{Private: p.Private, Loopback: p.Loopback, Limits: p.Limits, MaxAnswer: maxAnswer, Idle: maxIdle}, cfg)
	if err != nil {
		return nil, err
	}
	return &store{
		settings: s, endpoint: endpoint, namespace: cfg.Scope.Store().Namespace, picks: s.picks(), retry: cfg.Retry, clock: cfg.Clock,
	}, nil
}

func (s *Settings) check() error {
	switch {
	case s.URL == "":
		return errs.New(errs.Invalid, prefix+"url is missing")
	case slices.ContainsFunc(s.Secrets, func(one webhookcall.Secret) bool { return one.Name == group }):
		return errs.New(errs.Invalid, prefix+"secrets: remoteRef is the name of what is asked for: choose another")
	}
	_, rest, _ := strings.Cut(s.URL, "://")
	if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, group) {
		return errs.New(errs.Invalid, prefix+"url: the host depends on remoteRef, by which whoever writes an ExternalSecret would choose who gets the headers: write the host down, and remoteRef behind it")
	}
	return nil
}

// Within a template: .remoteRef.property, or "property" as an argument of index.
var (
	property  = regexp.MustCompile(`\{\{[^}]*[."\x60]property\b`)
	key       = regexp.MustCompile(`\{\{[^}]*[."\x60]key\b`)
	remoteKey = regexp.MustCompile(`\{\{[^}]*[."\x60]remoteKey\b`)
)

// picks reports whether a template uses the property.
func (s *Settings) picks() bool {
	texts := append(slices.Collect(maps.Values(s.Headers)), s.URL, s.Body, s.Result.JSONPath)
	return slices.ContainsFunc(texts, property.MatchString)
}

// Picks reports whether a template uses the property: then the answer is that part.
func (s *store) Picks() bool { return s.picks }

// Close ends idle connections.
func (s *store) Close(context.Context) error {
	s.endpoint.Close()
	return nil
}

// Check connects to the endpoint. It asks for nothing: what a request does there is not
// known.
func (s *store) Check(ctx context.Context) error {
	return s.endpoint.Probe(ctx, s.request(nil))
}

// request returns a request with what templates may use under remoteRef; those parts
// that are not given are empty.
func (s *store) request(parts map[string]string) webhookcall.Request {
	values := map[string]string{"key": "", "version": "", "property": "", "remoteKey": "", "secretKey": ""}
	if s.namespace != "" { // a ClusterSecretStore's answers are shared by all that ask
		values["namespace"] = s.namespace
	}
	maps.Copy(values, parts)
	return webhookcall.Request{Group: group, Values: values}
}

// Read asks for one secret.
func (s *store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	switch {
	case req.Key == "":
		return provider.Value{}, errs.New(errs.Invalid, "key is missing")
	case req.Metadata:
		return provider.Value{}, errs.New(errs.Unsupported, "provider webhook has no metadata: remove metadataPolicy")
	case remoteKey.MatchString(s.settings.URL) && !key.MatchString(s.settings.URL):
		return provider.Value{}, errs.New(errs.Unsupported, prefix+"url uses .remoteRef.remoteKey and not .remoteRef.key: this store is for writing")
	}
	r := s.request(map[string]string{"key": req.Key, "version": req.Version, "property": req.Property})
	text, err := s.endpoint.Text("jsonPath", s.settings.Result.JSONPath, r)
	if err != nil {
		return provider.Value{}, errs.Newf(errs.KindOf(err), "%sresult.jsonPath: %w", prefix, err)
	}
	path, err := webhookcall.ParsePath(prefix+"result.jsonPath", text)
	if err != nil {
		return provider.Value{}, err
	}
	var answer []byte
	err = s.retry.Read(ctx, s.clock, func() (err error) {
		answer, err = s.endpoint.Do(ctx, r)
		return err
	})
	if err != nil {
		return provider.Value{}, errs.Newf(errs.KindOf(err), "reading %q: %w", req.Key, err)
	}
	data, err := pick(path, answer)
	if err != nil {
		return provider.Value{}, errs.Newf(errs.KindOf(err), "reading %q: %w", req.Key, err)
	}
	return provider.Value{Data: data, Picked: s.picks && req.Property != ""}, nil
}

// pick returns what path picks of an answer: a text without its quotes, of several
// parts the first, anything else as JSON. An answer without it is no word that the
// secret is not there. No error quotes the answer.
func pick(path webhookcall.Path, answer []byte) (redact.Secret, error) {
	if path.Whole() {
		if len(answer) == 0 {
			return redact.Secret{}, errs.New(errs.Unavailable, "the webhook answers with success and nothing: it must answer with the secret, or 404 when there is none")
		}
		return redact.New(answer), nil
	}
	nothing := errs.New(errs.Unavailable, "the webhook's answer is no JSON, or has nothing at result.jsonPath: correct the path, or answer 404 when there is no such secret")
	parts, ok := path.Pick(answer)
	if !ok {
		return redact.Secret{}, nothing
	}
	part := parts[0]
	for len(part) > 0 && part[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(part, &list) != nil || len(list) == 0 {
			return redact.Secret{}, nothing
		}
		part = list[0]
	}
	var text string
	switch {
	case string(part) == "null":
		return redact.Secret{}, nothing
	case json.Unmarshal(part, &text) == nil:
		return redact.FromString(text), nil
	}
	return redact.New(part), nil
}
