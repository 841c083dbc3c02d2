package webhook

import (
	"context"
	"encoding/json"
	"net/netip"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall"
	"github.com/strongkeep/strongkeep/internal/redact"
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

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.WebhookSpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	path, err := webhookcall.ParsePath(field, spec.Result.JSONPath)
	if err != nil {
		return generator.Made{}, err
	}
	endpoint, err := webhookcall.Open(ctx, callOf(spec), webhookcall.Reach{Private: k.Private, Loopback: k.Loopback, Limits: k.Limits},
		provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock})
	if err != nil {
		return generator.Made{}, err
	}
	defer endpoint.Close()
	answer, err := endpoint.Do(ctx, webhookcall.Request{})
	switch {
	case errs.Is(err, errs.NotExist), errs.Is(err, errs.Conflict): // a generator makes; what there is, is not asked
		return generator.Made{}, errs.As(errs.Invalid, err)
	case err != nil:
		return generator.Made{}, err
	}
	data, err := values(path, answer)
	return generator.Made{Data: data}, err
}

// field is where the part of an answer stands that is taken.
const field = "spec.result.jsonPath"

func callOf(spec v1alpha1.WebhookSpec) webhookcall.Spec {
	out := webhookcall.Spec{
		Field: "spec.", Method: spec.Method, URL: spec.URL, Headers: spec.Headers, Body: spec.Body, Timeout: spec.Timeout, CABundle: spec.CABundle,
	}
	if from := spec.CAProvider; from != nil {
		out.CAProvider = &v1.CAProvider{Type: from.Type, Name: from.Name, Key: from.Key, Namespace: from.Namespace}
	}
	if auth := spec.Auth; auth != nil {
		out.Auth = &webhookcall.Auth{}
		if n := auth.NTLM; n != nil {
			out.Auth.NTLM = &webhookcall.NTLM{Username: selector(n.UserName), Password: selector(n.Password)}
		}
	}
	for _, s := range spec.Secrets {
		out.Secrets = append(out.Secrets, webhookcall.Secret{Name: s.Name, Ref: selector(s.SecretRef)})
	}
	return out
}

func selector(s v1alpha1.SecretKeySelector) v1.SecretKeySelector {
	return v1.SecretKeySelector{Name: s.Name, Namespace: s.Namespace, Key: s.Key}
}

// values returns the keys of the object that path picks, or of the one that is written
// in the text that it picks. No error quotes the answer.
func values(path webhookcall.Path, answer []byte) (map[string]redact.Secret, error) {
	object := answer
	if !path.Whole() {
		parts, ok := path.Pick(answer)
		if !ok || len(parts) != 1 {
			return nil, errs.New(errs.Invalid, "the webhook's answer is no JSON, or has not exactly one part at "+field)
		}
		object = parts[0]
	}
	var text string
	if json.Unmarshal(object, &text) == nil {
		object = []byte(text)
	}
	values, err := generator.Values(object)
	if err != nil || len(values) == 0 {
		return nil, errs.New(errs.Invalid, "the webhook's answer, or its part at "+field+", is not a JSON object with keys")
	}
	return values, nil
}
