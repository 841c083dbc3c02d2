package custom

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Found is what an object says.
type Found struct {
	Uses       []snapshot.Use
	Sources    []snapshot.Source
	Stores     []snapshot.Store
	Projects   []snapshot.Project
	Admissions []snapshot.Admission
	Migrations []snapshot.Migration
	Objects    []snapshot.Object
	// Enforces is the name of the ValidatingAdmissionPolicy that a binding puts in
	// force, so that it refuses; Everywhere says that nothing narrows where.
	Enforces   string
	Everywhere bool
}

// Of returns what o says. It is a function of o alone, and keeps nothing of it but names
// and what m makes of values.
func Of(o *unstructured.Unstructured, m *record.Maker) Found {
	kind := o.GroupVersionKind().GroupKind()
	out := Found{Projects: projects(o), Objects: holds(o, m)}
	found, made := find(o)
	switch {
	case kind.Group == "external-secrets.io" && strings.HasSuffix(kind.Kind, "SecretStore"):
		out.Stores = []snapshot.Store{store(o, found)}
	case kind.Group == "storagemigration.k8s.io" && kind.Kind == "StorageVersionMigration":
		out.Migrations = []snapshot.Migration{migration(o)}
		return out
	case kind.Group == "admissionregistration.k8s.io" && kind.Kind == "ValidatingAdmissionPolicyBinding":
		if slices.Contains(texts(o.Object, "spec.validationActions"), "Deny") {
			out.Enforces = textAt(o.Object, "spec.policyName")
			out.Everywhere = under(o.Object, "spec", "matchResources") == nil && under(o.Object, "spec", "paramRef") == nil
		}
	default:
		if a, ok := admission(o); ok {
			out.Admissions = []snapshot.Admission{a}
		}
		if s, ok := source(o, made); ok {
			out.Sources = []snapshot.Source{s}
		}
	}
	out.Uses = append(found, services(o)...)
	return out
}

// holds has o, if it has values itself. What is sealed is none.
func holds(o *unstructured.Unstructured, m *record.Maker) []snapshot.Object {
	kind := o.GroupVersionKind().GroupKind()
	line := byKind[[2]string{kind.Group, kind.Kind}]
	if kind.Group == "bitnami.com" || kind.Group == "isindir.github.com" {
		return nil
	}
	values := m.Object(o.Object, o.GetAnnotations(), func(object any) []record.Tree {
		var out []record.Tree
		if line != nil {
			for _, path := range line.Values {
				at(object, path, func(field string, v any) { out = append(out, record.Tree{Field: field, Of: v}) })
			}
		}
		return out
	})
	if len(values) == 0 {
		return nil
	}
	out := snapshot.Object{Meta: record.Meta(o), Group: kind.Group, Kind: kind.Kind, Values: values}
	if line != nil {
		out.Resource = line.Resource
	}
	return []snapshot.Object{out}
}

// Placed says of everything in f from which place it was read.
func (f *Found) Placed(place string) {
	for i := range f.Sources {
		f.Sources[i].Place = place
	}
	for i := range f.Stores {
		f.Stores[i].Place = place
	}
	for i := range f.Projects {
		f.Projects[i].Place = place
	}
	for i := range f.Admissions {
		f.Admissions[i].Place = place
	}
	for i := range f.Objects {
		f.Objects[i].Place = place
	}
}

// Global reports whether objects of a kind lie in no namespace, as far as is known.
func Global(kind schema.GroupKind) bool {
	line := byKind[[2]string{kind.Group, kind.Kind}]
	return line != nil && line.Global || kind.Group == Constraints || kind.Group == "apiextensions.k8s.io" || kind.Group == "storagemigration.k8s.io"
}

// services are those that receive what is written.
func services(o *unstructured.Unstructured) []snapshot.Use {
	if o.GroupVersionKind().Group != "admissionregistration.k8s.io" {
		return nil
	}
	var out []snapshot.Use
	at(o.Object, "webhooks[].clientConfig.service", func(field string, v any) {
		m, _ := v.(map[string]any)
		out = append(out, snapshot.Use{From: refOf(o), Field: field, To: snapshot.Ref{Kind: "Service", Namespace: text(m["namespace"]), Name: text(m["name"])}})
	})
	return out
}

// Grants removes the references across namespaces that no ReferenceGrant allows: those of
// Gateways, which Kubernetes ignores then. grants are objects of that kind.
func Grants(all []snapshot.Use, grants []*unstructured.Unstructured) []snapshot.Use {
	return slices.DeleteFunc(all, func(u snapshot.Use) bool {
		if u.From.Group != "gateway.networking.k8s.io" || u.From.Namespace == u.To.Namespace {
			return false
		}
		return !slices.ContainsFunc(grants, func(g *unstructured.Unstructured) bool { return granted(g, &u) })
	})
}

func granted(g *unstructured.Unstructured, u *snapshot.Use) bool {
	if g.GetNamespace() != u.To.Namespace {
		return false
	}
	from, to := false, false
	at(g.Object, "spec.from[]", func(_ string, v any) {
		m, _ := v.(map[string]any)
		from = from || text(m["group"]) == u.From.Group && text(m["kind"]) == u.From.Kind && text(m["namespace"]) == u.From.Namespace
	})
	at(g.Object, "spec.to[]", func(_ string, v any) {
		m, _ := v.(map[string]any)
		to = to || text(m["kind"]) == "Secret" && (text(m["name"]) == "" || text(m["name"]) == u.To.Name)
	})
	return from && to
}

// meta is what is kept of the metadata of o.
func meta(o *unstructured.Unstructured) snapshot.Meta {
	out := record.Meta(o)
	out.Writers = nil
	return out
}

// texts are those of a list.
func texts(tree any, path string) []string {
	var out []string
	at(tree, path, func(_ string, v any) {
		if s := text(v); s != "" {
			out = append(out, s)
		}
	})
	return out
}
