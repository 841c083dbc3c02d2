package webhookcall

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Spec is an endpoint as a person wrote it. URL, Headers and Body are templates.
type Spec struct {
	// Field stands in front of the fields' names in messages, such as "spec.".
	Field   string
	Method  string
	URL     string
	Headers map[string]string
	Body    string
	Timeout *metav1.Duration // 10 seconds when nil
	// CABundle and CAProvider are its authorities in PEM, in place of the system's.
	CABundle   []byte
	CAProvider *v1.CAProvider
	Secrets    []Secret
	Auth       *Auth // nil: headers log in, if anything does
}

// Secret is one that templates may use, under a name.
type Secret struct {
	Name string               `json:"name"`
	Ref  v1.SecretKeySelector `json:"secretRef"`
}

// Reach is what whoever runs the operator allows.
type Reach struct {
	// Private are the private networks where endpoints may be; see outbound.Config.
	Private []netip.Prefix
	// Loopback allows endpoints on this machine. For tests.
	Loopback bool
	// Limits bound the templates.
	Limits template.Limits
	// MaxAnswer bounds an answer, in bytes; outbound.MaxAnswer when 0.
	MaxAnswer int64
	// Idle is how many connections are kept.
	Idle int
}

const (
	usualTimeout = 10 * time.Second
	maxTimeout   = 45 * time.Second
)

// Endpoint is one that can be asked. It is safe for concurrent use.
type Endpoint struct {
	spec    Spec
	limits  template.Limits
	now     func() time.Time
	http    *http.Client
	out     outbound.Config
	secrets secrets
	user    *user // nil: headers log in
}

// Open checks spec and reads what it refers to. Nothing is asked yet. Whoever opens an
// Endpoint closes it.
func Open(ctx context.Context, spec Spec, r Reach, cfg provider.Config) (*Endpoint, error) {
	e := &Endpoint{spec: spec, limits: r.Limits, now: cfg.Clock.Now}
	timeout := usualTimeout
	if spec.Timeout != nil {
		timeout = spec.Timeout.Duration
	}
	if timeout <= 0 || timeout > maxTimeout {
		return nil, errs.Newf(errs.Invalid, "%stimeout is %s: it must be above 0 and at most %s", spec.Field, timeout, maxTimeout)
	}
	if !methods.MatchString(spec.Method) {
		return nil, errs.Newf(errs.Invalid, "%smethod is %.20q: it must be GET, POST, PUT, PATCH or DELETE", spec.Field, spec.Method)
	}
	bundle, err := cfg.Authorities(ctx, spec.CABundle, spec.CAProvider)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s%w", spec.Field, err)
	}
	e.out = outbound.Config{CABundle: string(bundle), Timeout: timeout, Private: r.Private, Loopback: r.Loopback, MaxAnswer: r.MaxAnswer, Idle: r.Idle}
	if e.http, err = outbound.Client(e.out); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%scaBundle: %w", spec.Field, err)
	}
	if e.secrets, err = read(ctx, spec, cfg); err != nil {
		return nil, err
	}
	if e.user, err = readUser(ctx, spec, cfg); err != nil {
		return nil, err
	}
	return e, nil
}

var (
	methods = regexp.MustCompile(`^(?i)(|GET|POST|PUT|PATCH|DELETE)$`)
	headers = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$")
)

// Close ends idle connections.
func (e *Endpoint) Close() { e.http.CloseIdleConnections() }

// label is what a Secret must carry that templates of webhooks may use: a webhook
// sends it to wherever its url says.
const label = "external-secrets.io/type"

// secrets are what templates may use: by name, the keys of each Secret, as they are and
// escaped for a URL.
type secrets struct{ plain, escaped map[string]map[string]string }

func read(ctx context.Context, spec Spec, cfg provider.Config) (secrets, error) {
	out := secrets{map[string]map[string]string{}, map[string]map[string]string{}}
	for i, s := range spec.Secrets {
		if s.Name == "" {
			return out, errs.Newf(errs.Invalid, "%ssecrets[%d]: name is missing", spec.Field, i)
		}
		data, err := labelled(ctx, spec.Field+"secrets", s.Ref, cfg)
		if err != nil {
			return out, err
		}
		plain := map[string]string{}
		for key, value := range data {
			plain[key] = value.RevealString()
		}
		out.add(s.Name, plain, true)
	}
	return out, nil
}

// labelled reads a Secret that says by its label that it may be sent.
func labelled(ctx context.Context, field string, sel v1.SecretKeySelector, cfg provider.Config) (map[string]redact.Secret, error) {
	ref, err := cfg.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	cluster, ok := cfg.Cluster.(provider.Labelled)
	if !ok {
		return nil, errs.New(errs.Internal, "labels of Secrets cannot be read")
	}
	return cluster.LabelledSecret(ctx, ref, label, "webhook")
}

// add adds values under a name, for the URL as well where they may stand there.
func (s secrets) add(name string, values map[string]string, everywhere bool) {
	if s.plain[name] == nil {
		s.plain[name], s.escaped[name] = map[string]string{}, map[string]string{}
	}
	for key, value := range values {
		s.plain[name][key] = value
		if everywhere {
			s.escaped[name][key] = url.QueryEscape(value)
		}
	}
}

// with returns s with what a request adds.
func (s secrets) with(r Request) secrets {
	out := secrets{maps.Clone(s.plain), maps.Clone(s.escaped)}
	if r.Group == "" {
		return out
	}
	out.plain[r.Group], out.escaped[r.Group] = map[string]string{}, map[string]string{}
	out.add(r.Group, r.Hidden, false)
	out.add(r.Group, r.Values, true)
	return out
}

// Probe connects to where the URL says with what r adds, and asks nothing.
func (e *Endpoint) Probe(ctx context.Context, r Request) error {
	run := template.NewNested(nil, e.limits, e.now)
	at, err := e.url(run.WithNested(e.secrets.with(r).escaped))
	if err != nil {
		return err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.out.CABundle != "" {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AppendCertsFromPEM([]byte(e.out.CABundle)) // which Open has seen to work
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, e.out.Timeout)
	defer cancel()
	dialer := &tls.Dialer{NetDialer: e.out.Dialer(e.out.Timeout), Config: cfg}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return outbound.Unreached("the webhook at "+at.Host, err)
	}
	_ = conn.Close()
	return nil
}

// url runs the URL's template over what is escaped.
func (e *Endpoint) url(run *template.Run) (*url.URL, error) {
	field := e.spec.Field + "url"
	text, err := run.Text("url", e.spec.URL)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	at, err := outbound.URL(field, string(text))
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(at.Path, "/") {
		if part == "." || part == ".." {
			return nil, errs.Newf(errs.Invalid, "%s: there is a part %q in its path, by which it would name something else", field, part)
		}
	}
	return at, nil
}
