package custom

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// admission is what o admits or refuses, if it is of a kind that does.
func admission(o *unstructured.Unstructured) (snapshot.Admission, bool) {
	kind := o.GroupVersionKind().GroupKind()
	a := snapshot.Admission{Meta: meta(o), Group: kind.Group, Kind: kind.Kind}
	switch {
	case kind.Group == "admissionregistration.k8s.io" && kind.Kind == "ValidatingAdmissionPolicy":
		at(o.Object, "spec.matchConstraints.resourceRules[]", func(_ string, v any) { a.Secrets = a.Secrets || creates(v) })
		a.Hands = a.Secrets && byControllers(o)
	case kind.Group == "admissionregistration.k8s.io" && strings.HasSuffix(kind.Kind, "WebhookConfiguration"):
		webhooks(o, &a)
	case strings.HasSuffix(kind.Group, "kyverno.io") && slices.Contains([]string{"ClusterPolicy", "Policy", "ValidatingPolicy"}, kind.Kind):
		kyverno(o, &a)
	case kind.Group == Constraints:
		gatekeeper(o, &a)
	default:
		return a, false
	}
	return a, true
}

// byControllers reports whether a ValidatingAdmissionPolicy refuses what people write,
// known by its text: one of its expressions is ours, and nothing narrows what it is
// asked about.
func byControllers(o *unstructured.Unstructured) bool {
	spec, _ := o.Object["spec"].(map[string]any)
	match, _ := spec["matchConstraints"].(map[string]any)
	for _, narrows := range []any{
		spec["matchConditions"], spec["paramKind"], match["namespaceSelector"], match["objectSelector"], match["excludeResourceRules"],
	} {
		switch v := narrows.(type) {
		case map[string]any:
			if len(v) > 0 {
				return false
			}
		case []any:
			if len(v) > 0 {
				return false
			}
		}
	}
	named := false
	at(match, "resourceRules[]", func(_ string, v any) { named = named || len(texts(v, "resourceNames")) == 0 && creates(v) })
	if !named || text(spec["failurePolicy"]) == "Ignore" {
		return false
	}
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	ours := false
	at(spec, "validations[]", func(_ string, v any) {
		ours = ours || words(textAt(v, "expression")) == words(snapshot.ByControllers)
	})
	return ours
}

// creates reports whether a rule is about Secrets that are created.
func creates(rule any) bool {
	m, _ := rule.(map[string]any)
	has := func(field string, wanted ...any) bool {
		list, _ := m[field].([]any)
		return slices.ContainsFunc(list, func(v any) bool { return slices.Contains(wanted, v) })
	}
	return has("operations", "*", "CREATE") && has("apiGroups", "*", "") && has("resources", "*", "*/*", "secrets")
}

func webhooks(o *unstructured.Unstructured, a *snapshot.Admission) {
	at(o.Object, "webhooks[]", func(_ string, v any) {
		about := false
		at(v, "rules[]", func(_ string, rule any) { about = about || creates(rule) })
		a.Secrets = a.Secrets || about
		// A mutating webhook changes; it can refuse as well, and is not made for it.
		a.Enforced = a.Enforced || about && textAt(v, "failurePolicy") != "Ignore" && a.Kind == "ValidatingWebhookConfiguration"
	})
}

// secrets are Kyverno's ways to say Secrets.
var secrets = []string{"Secret", "v1/Secret", "*/Secret", "*", "*/*"}

func kyverno(o *unstructured.Unstructured, a *snapshot.Admission) {
	if a.Kind == "ValidatingPolicy" {
		at(o.Object, "spec.matchConstraints.resourceRules[]", func(_ string, v any) { a.Secrets = a.Secrets || creates(v) })
		a.Enforced = slices.Contains(texts(o.Object, "spec.validationActions"), "Deny")
		return
	}
	enforce := strings.EqualFold(textAt(o.Object, "spec.validationFailureAction"), "enforce")
	at(o.Object, "spec.rules[]", func(_ string, rule any) {
		m, _ := rule.(map[string]any)
		if m["validate"] == nil {
			return
		}
		kinds := slices.Concat(texts(rule, "match.resources.kinds"), texts(rule, "match.any[].resources.kinds"), texts(rule, "match.all[].resources.kinds"))
		about := slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(secrets, k) })
		a.Secrets = a.Secrets || about
		action := textAt(rule, "validate.failureAction")
		a.Enforced = a.Enforced || about && (strings.EqualFold(action, "enforce") || action == "" && enforce)
	})
}

func gatekeeper(o *unstructured.Unstructured, a *snapshot.Admission) {
	kinds := texts(o.Object, "spec.match.kinds[].kinds")
	a.Secrets = len(kinds) == 0 || slices.Contains(kinds, "Secret") || slices.Contains(kinds, "*")
	a.Enforced = first(textAt(o.Object, "spec.enforcementAction"), "deny") == "deny"
}

// migration is a StorageVersionMigration.
func migration(o *unstructured.Unstructured) snapshot.Migration {
	m := snapshot.Migration{Meta: meta(o), Resource: textAt(o.Object, "spec.resource.resource")}
	if group := textAt(o.Object, "spec.resource.group"); group != "" {
		m.Resource += "." + group
	}
	at(o.Object, "status.conditions[]", func(_ string, v any) {
		c, _ := v.(map[string]any)
		if text(c["status"]) != "True" || text(c["type"]) != "Succeeded" && text(c["type"]) != "Failed" {
			return
		}
		m.Succeeded, m.Failed = text(c["type"]) == "Succeeded", text(c["type"]) == "Failed"
		m.Ended = instant(first(text(c["lastUpdateTime"]), text(c["lastTransitionTime"])))
	})
	return m
}
