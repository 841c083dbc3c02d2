package custom

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Annotations of the operators that copy Secrets.
const (
	replicateFrom = "replicator.v1.mittwald.de/replicate-from"
	replicateTo   = "replicator.v1.mittwald.de/replicate-to"
	reflects      = "reflector.v1.k8s.emberstack.com/reflects"
	reflectAuto   = "reflector.v1.k8s.emberstack.com/reflection-auto-enabled"
	reflectTo     = "reflector.v1.k8s.emberstack.com/reflection-auto-namespaces"
	kubedSync     = "kubed.appscode.com/sync"
)

// Copies are the Sources that a Secret or ConfigMap is by its annotations: an operator
// copies it, or makes it as a copy. kind is which of the two it is.
func Copies(kind string, m *snapshot.Meta) []snapshot.Source {
	own := snapshot.Ref{Kind: kind, Namespace: m.Namespace, Name: m.Name}
	make := func(by string, from snapshot.Ref, to []snapshot.Ref) []snapshot.Source {
		bare := *m
		bare.Writers, bare.Labels, bare.Owners = nil, nil, nil
		group, _, _ := strings.Cut(by, "/")
		return []snapshot.Source{{Meta: bare, Group: group, Kind: "Copy", Makes: to, Reads: []snapshot.Ref{from}}}
	}
	for _, by := range []string{replicateFrom, reflects} {
		if ns, name, ok := strings.Cut(m.Annotations[by], "/"); ok {
			return make(by, snapshot.Ref{Kind: kind, Namespace: ns, Name: name}, []snapshot.Ref{own})
		}
	}
	if to := m.Annotations[replicateTo]; to != "" {
		return make(replicateTo, own, inEach(own, to))
	}
	if m.Annotations[reflectAuto] == "true" {
		return make(reflectAuto, own, inEach(own, m.Annotations[reflectTo]))
	}
	if _, ok := m.Annotations[kubedSync]; ok {
		return make(kubedSync, own, nil)
	}
	return nil
}

// inEach is an object in each of the namespaces that a list names. Patterns are left
// out: who they match is not in the annotation.
func inEach(o snapshot.Ref, namespaces string) []snapshot.Ref {
	var out []snapshot.Ref
	own := o.Namespace
	for _, ns := range strings.Split(namespaces, ",") {
		if ns = strings.TrimSpace(ns); ns != "" && ns != own && !strings.ContainsAny(ns, "*.[](^$|+?\\") {
			o.Namespace = ns
			out = append(out, o)
		}
	}
	return out
}

// argoSecret is the label of Secrets that Argo CD reads: clusters and repositories.
const argoSecret = "argocd.argoproj.io/secret-type"

// Read are the uses of a Secret by an operator that finds it by its label.
func Read(m *snapshot.Meta) []snapshot.Use {
	if m.Labels[argoSecret] == "" {
		return nil
	}
	return []snapshot.Use{{
		From: snapshot.Ref{Group: "argoproj.io", Kind: "ArgoCD", Namespace: m.Namespace, Name: m.Namespace}, Field: "metadata.labels[" + argoSecret + "]",
		To: snapshot.Ref{Kind: "Secret", Namespace: m.Namespace, Name: m.Name},
	}}
}
