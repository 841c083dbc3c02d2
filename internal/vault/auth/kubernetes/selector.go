package kubernetes

import (
	"slices"

	"github.com/go-json-experiment/json"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// selector is a Kubernetes label selector (meta/v1 LabelSelector). One without
// any requirement matches everything there.
type selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []requirement     `json:"matchExpressions"`
}

type requirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"` // In, NotIn, Exists, DoesNotExist
	Values   []string `json:"values"`
}

// parseSelector reads JSON or YAML. Kind Invalid; the text is not quoted.
func parseSelector(text string) (*selector, error) {
	bad := func(why string) error {
		return errs.New(errs.Invalid, "bound_service_account_namespace_selector "+why)
	}
	if len(text) > 16<<10 {
		return nil, bad("is over 16 KiB")
	}
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, bad("is neither JSON nor YAML")
	}
	s := new(selector)
	if err := json.Unmarshal(raw, s, json.RejectUnknownMembers(true)); err != nil {
		return nil, bad("is not a label selector: it may hold matchLabels and matchExpressions")
	}
	for _, r := range s.MatchExpressions {
		if !r.valid() {
			return nil, bad("has an expression that is not a key with In or NotIn and values, nor with Exists or DoesNotExist and none")
		}
	}
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return nil, bad("selects every namespace: use bound_service_account_namespaces=\"*\" if that is meant")
	}
	return s, nil
}

func (r *requirement) valid() bool {
	switch r.Operator {
	case "In", "NotIn":
		return r.Key != "" && len(r.Values) > 0
	case "Exists", "DoesNotExist":
		return r.Key != "" && len(r.Values) == 0
	}
	return false
}

func (s *selector) matches(labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for _, r := range s.MatchExpressions {
		got, has := labels[r.Key]
		ok := false
		switch r.Operator {
		case "In":
			ok = has && slices.Contains(r.Values, got)
		case "NotIn":
			ok = !has || !slices.Contains(r.Values, got)
		case "Exists":
			ok = has
		case "DoesNotExist":
			ok = !has
		}
		if !ok {
			return false
		}
	}
	return true
}
