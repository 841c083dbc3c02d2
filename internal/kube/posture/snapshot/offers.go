package snapshot

import (
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// offers returns, by Secret, the operators that hand its value to whoever writes
// an object that asks for it.
func (s *Snapshot) offers() func(path.Name) []path.Offer {
	found := map[path.Name][]path.Offer{}
	stores := map[Ref]*Store{}
	for i := range s.Stores {
		st := &s.Stores[i]
		stores[Ref{Kind: st.Kind, Namespace: st.Namespace, Name: st.Name}] = st
	}
	for i := range s.Sources {
		src := &s.Sources[i]
		o, ok := s.fetched(src, stores)
		if !ok {
			continue
		}
		for _, r := range append(src.Makes[:len(src.Makes):len(src.Makes)], src.Reads...) {
			if r.Kind == "Secret" && r.Group == "" {
				n := path.Name{Namespace: r.Namespace, Name: r.Name}
				found[n] = append(found[n], o)
			}
		}
	}
	for i := range s.Secrets {
		m := &s.Secrets[i].Meta
		if offers := mirrored(m); len(offers) > 0 {
			n := path.Name{Namespace: m.Namespace, Name: m.Name}
			found[n] = append(found[n], offers...)
		}
	}
	return func(n path.Name) []path.Offer { return found[n] }
}

// fetched is the offer of the store that an ExternalSecret reads or a PushSecret
// writes: other ExternalSecrets that may use the store get the same.
func (s *Snapshot) fetched(src *Source, stores map[Ref]*Store) (path.Offer, bool) {
	if src.Group != "external-secrets.io" || len(src.Remote) == 0 || src.Store.Name == "" {
		return path.Offer{}, false
	}
	ref := Ref{Kind: src.Store.Kind, Namespace: src.Store.Namespace, Name: src.Store.Name}
	o := path.Offer{Kind: path.FetchSecrets, On: ref.String()}
	if ref.Kind != "ClusterSecretStore" {
		if ref.Namespace == "" {
			ref.Namespace = src.Namespace
		}
		o.On, o.To = ref.String(), func(ns string) bool { return ns == ref.Namespace }
		return o, true
	}
	ref.Namespace = ""
	o.On, o.To = ref.String(), func(string) bool { return true }
	if st := stores[ref]; st != nil {
		o.To = s.Using(st)
	}
	return o, true
}

// Using returns which namespaces may use a store of the cluster. Of a namespace that was
// not read it is not known which labels it has: where labels decide, it may.
func (s *Snapshot) Using(st *Store) func(namespace string) bool {
	if len(st.Namespaces)+len(st.Conditions) == 0 {
		return func(string) bool { return true }
	}
	known := map[string]labels.Set{}
	for i := range s.Namespaces {
		known[s.Namespaces[i].Name] = s.Namespaces[i].Labels
	}
	var patterns []*regexp.Regexp
	var selectors []labels.Selector
	for _, c := range st.Conditions {
		for _, is := range c.Regexes {
			if re, err := regexp.Compile(is); err == nil {
				patterns = append(patterns, re)
			}
		}
		if selector, err := metav1.LabelSelectorAsSelector(c.Labels); err == nil && c.Labels != nil {
			selectors = append(selectors, selector)
		}
	}
	return func(ns string) bool {
		has, read := known[ns]
		return slices.Contains(st.Namespaces, ns) || slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(ns) }) ||
			slices.ContainsFunc(selectors, func(by labels.Selector) bool { return !read || by.Matches(has) })
	}
}

// mirrors are the annotations by which a Secret is offered to replicators: whether,
// and to which namespaces. A line each.
var mirrors = []struct{ allowed, namespaces string }{
	{"reflector.v1.k8s.emberstack.com/reflection-allowed", "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces"},
	{"replicator.v1.mittwald.de/replication-allowed", "replicator.v1.mittwald.de/replication-allowed-namespaces"},
}

// mirrored are the offers that a Secret's annotations make.
func mirrored(m *Meta) []path.Offer {
	var out []path.Offer
	for _, a := range mirrors {
		if m.Annotations[a.allowed] == "true" {
			out = append(out, path.Offer{Kind: path.MirrorSecrets, On: "annotation " + a.allowed, To: namespaces(m.Annotations[a.namespaces])})
		}
	}
	return out
}

// namespaces are those of a comma-separated list of names and expressions; all if
// it is empty, as replicators have it.
func namespaces(list string) func(string) bool {
	if strings.TrimSpace(list) == "" {
		return func(string) bool { return true }
	}
	var patterns []*regexp.Regexp
	names := map[string]bool{}
	for _, p := range strings.Split(list, ",") {
		p = strings.TrimSpace(p)
		names[p] = true
		if re, err := regexp.Compile("^(?:" + p + ")$"); err == nil {
			patterns = append(patterns, re)
		}
	}
	return func(ns string) bool {
		if names[ns] {
			return true
		}
		for _, re := range patterns {
			if re.MatchString(ns) {
				return true
			}
		}
		return false
	}
}
