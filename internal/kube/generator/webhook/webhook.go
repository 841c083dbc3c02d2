package webhook

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Kind asks endpoints.
type Kind struct {
	// Private are the private networks where endpoints may be; see outbound.Config.
	Private []netip.Prefix
	// Loopback allows endpoints on this machine. For tests.
	Loopback bool
	// Limits bound the templates of url, headers and body.
	Limits template.Limits
}

var _ generator.Kind = Kind{}

const (
	usualTimeout = 10 * time.Second
	maxTimeout   = 45 * time.Second
)

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.WebhookSpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	timeout, err := check(spec)
	if err != nil {
		return generator.Made{}, err
	}
	path, err := parse(spec.Result.JSONPath)
	if err != nil {
		return generator.Made{}, err
	}
	bundle, err := authorities(ctx, cfg, spec)
	if err != nil {
		return generator.Made{}, err
	}
	client, err := outbound.Client(outbound.Config{CABundle: bundle, Timeout: timeout, Private: k.Private, Loopback: k.Loopback})
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec.caBundle: %w", err)
	}
	req, err := k.request(ctx, cfg, spec)
	if err != nil {
		return generator.Made{}, err
	}
	text, err := fetch(client, req)
	if err != nil {
		return generator.Made{}, err
	}
	data, err := path.values(text)
	return generator.Made{Data: data}, err
}

func check(spec v1alpha1.WebhookSpec) (time.Duration, error) {
	if spec.Auth != nil {
		return 0, errs.New(errs.Unsupported, "spec.auth.ntlm is not supported by this operator: send a header, such as Authorization, from spec.secrets")
	}
	timeout := usualTimeout
	if spec.Timeout != nil {
		timeout = spec.Timeout.Duration
	}
	if timeout <= 0 || timeout > maxTimeout {
		return 0, errs.Newf(errs.Invalid, "spec.timeout is %s: it must be above 0 and at most %s", timeout, maxTimeout)
	}
	if len(spec.CABundle) > 0 && spec.CAProvider != nil {
		return 0, errs.New(errs.Invalid, "spec.caBundle and spec.caProvider are both set: keep one")
	}
	return timeout, nil
}

func authorities(ctx context.Context, cfg generator.Config, spec v1alpha1.WebhookSpec) (string, error) {
	from := spec.CAProvider
	if from == nil {
		return string(spec.CABundle), nil
	}
	ref, err := cfg.Scope.Ref("spec.caProvider", from.Namespace, from.Name)
	if err != nil {
		return "", err
	}
	key := from.Key
	if key == "" {
		key = "ca.crt"
	}
	switch from.Type {
	case v1.CAProviderConfigMap:
		return cfg.Cluster.ConfigMapKey(ctx, ref, key)
	case v1.CAProviderSecret:
		secret, err := cfg.Cluster.SecretKey(ctx, ref, key)
		return secret.RevealString(), err
	}
	return "", errs.Newf(errs.Invalid, "spec.caProvider.type is %q: it must be Secret or ConfigMap", from.Type)
}

// request runs the templates. What stands in the URL is escaped.
func (k Kind) request(ctx context.Context, cfg generator.Config, spec v1alpha1.WebhookSpec) (*http.Request, error) {
	plain, escaped, err := secrets(ctx, cfg, spec.Secrets)
	if err != nil {
		return nil, err
	}
	run := template.NewNested(plain, k.Limits, cfg.Clock.Now)
	at, err := run.WithNested(escaped).Text("url", spec.URL)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.url: %w", err)
	}
	if _, err := outbound.URL("spec.url", string(at)); err != nil {
		return nil, err
	}
	body, err := run.Text("body", spec.Body)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.body: %w", err)
	}
	method := strings.ToUpper(spec.Method)
	switch method {
	case "":
		method = http.MethodGet
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, errs.Newf(errs.Invalid, "spec.method is %q: it must be GET, POST, PUT, PATCH or DELETE", spec.Method)
	}
	req, err := http.NewRequestWithContext(ctx, method, string(at), strings.NewReader(string(body)))
	if err != nil {
		return nil, errs.New(errs.Invalid, "spec.url is no address")
	}
	return req, setHeaders(req, spec.Headers, func(name, source string) ([]byte, error) { return run.Text("header "+name, source) })
}

// setHeaders sets the headers that the templates of sources make.
func setHeaders(req *http.Request, sources map[string]string, text func(name, source string) ([]byte, error)) error {
	req.Header.Set("User-Agent", "strongkeep")
	for name, source := range sources {
		value, err := text(name, source)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "spec.headers: %w", err)
		}
		if !headers.MatchString(name) || strings.ContainsAny(string(value), "\r\n\x00") {
			return errs.Newf(errs.Invalid, "spec.headers: %q has a name or a value that no header can have", name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = string(value)
			continue
		}
		req.Header.Set(name, string(value))
	}
	return nil
}

// label is what a Secret must carry that templates of webhooks may use: a webhook
// sends it to wherever its url says.
const label = "external-secrets.io/type"

// secrets reads what templates may use: by name, the keys of each Secret, as they
// are and escaped for a URL.
func secrets(ctx context.Context, cfg generator.Config, list []v1alpha1.WebhookSecret) (plain, escaped map[string]map[string]string, err error) {
	plain, escaped = map[string]map[string]string{}, map[string]map[string]string{}
	for i, s := range list {
		if s.Name == "" {
			return nil, nil, errs.Newf(errs.Invalid, "spec.secrets[%d]: name is missing", i)
		}
		ref, err := cfg.Scope.Ref("spec.secrets", s.SecretRef.Namespace, s.SecretRef.Name)
		if err != nil {
			return nil, nil, err
		}
		labelled, ok := cfg.Cluster.(provider.Labelled)
		if !ok {
			return nil, nil, errs.New(errs.Internal, "labels of Secrets cannot be read")
		}
		data, err := labelled.LabelledSecret(ctx, ref, label, "webhook")
		if err != nil {
			return nil, nil, err
		}
		if plain[s.Name] == nil {
			plain[s.Name], escaped[s.Name] = map[string]string{}, map[string]string{}
		}
		for key, value := range data {
			plain[s.Name][key], escaped[s.Name][key] = value.RevealString(), url.QueryEscape(value.RevealString())
		}
	}
	return plain, escaped, nil
}

func fetch(client *http.Client, req *http.Request) ([]byte, error) {
	answer, err := client.Do(req)
	if err != nil {
		return nil, outbound.Unreached("the webhook at "+req.URL.Host, err)
	}
	defer answer.Body.Close() //nolint:errcheck // read, or given up
	text, err := outbound.ReadAll(answer)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "the webhook's answer: %w", err)
	}
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return text, nil
	case status >= 300 && status < 400:
		return nil, errs.Newf(errs.Invalid, "the webhook answers %d: redirects are not followed; set spec.url to where it is", status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, errs.Newf(errs.Denied, "the webhook answers %d: check the header it logs in with", status)
	case status == http.StatusTooManyRequests:
		return nil, errs.Newf(errs.Exhausted, "the webhook answers %d", status)
	case status == http.StatusRequestTimeout, status >= 500:
		return nil, errs.Newf(errs.Unavailable, "the webhook answers %d: it is tried again", status)
	default:
		return nil, errs.Newf(errs.Invalid, "the webhook answers %d", status)
	}
}
