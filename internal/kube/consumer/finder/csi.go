package finder

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// class is a SecretProviderClass: what the Secrets Store CSI driver puts into a
// volume, and which Secrets it makes of that.
type class struct {
	secrets []string // names of spec.secretObjects
	text    string   // provider and parameters, to look for a path in
}

func noteClass(f *found, o runtime.Object) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	var c class
	objects, _, _ := unstructured.NestedSlice(u.Object, "spec", "secretObjects")
	for _, o := range objects {
		if name := text(object(o), "secretName"); name != "" {
			c.secrets = append(c.secrets, name)
		}
	}
	parameters, _, _ := unstructured.NestedStringMap(u.Object, "spec", "parameters")
	var b strings.Builder
	for _, v := range parameters {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	c.text = b.String()
	f.classes[u.GetNamespace()+"/"+u.GetName()] = c
}

// mentions reports whether parameters of c name path as a whole.
func (c class) mentions(path string) bool {
	for line := range strings.FieldsFuncSeq(c.text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"',[]{}", r) }) {
		if strings.Trim(line, "/") == path || strings.TrimPrefix(strings.Trim(line, "/"), "v1/") == path {
			return true
		}
	}
	return false
}

// apiPath returns the path below /v1/ that a location ends with: host, then a
// namespace or none, then the path. A location may be written in ways we do not
// know, so that every suffix of it counts, from the second part on.
func apiPaths(location string) []string {
	parts := strings.Split(location, "/")
	var out []string
	for i := 1; i < len(parts)-1; i++ {
		out = append(out, strings.Join(parts[i:], "/"))
	}
	return out
}

// classUsers finds pods and workloads whose CSI volumes are filled from the
// credential, or whose SecretProviderClass makes one of feds.
func (s *search) classUsers(at site, feds []*consumer.Fed, extra *found, add func(*stock.Entry, consumer.Use)) {
	made := map[string]string{} // namespace/class → Secret, "" for the credential itself
	for name, c := range extra.classes {
		ns, _, _ := strings.Cut(name, "/")
		for _, path := range apiPaths(s.wanted.Location) {
			if c.mentions(path) {
				made[name] = ""
			}
		}
		for _, secret := range c.secrets {
			if s.held[secretObject(at.name, nameOf(ns, secret))] {
				made[name] = secret
			}
		}
	}
	for name, secret := range made {
		_, class, _ := strings.Cut(name, "/")
		for _, e := range at.stock.By(stock.ByClass, name) {
			for volume, of := range e.Classes {
				if of == class {
					add(e, consumer.Use{Kind: consumer.UseCSI, Secret: secret, Volume: volume, Where: e.Mounts[volume]})
				}
			}
		}
	}
}
