package census

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	parse "sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Census is what manifests name. The zero value has none; see Add. It is not safe for
// concurrent use.
type Census struct {
	// Namespace of objects that name none.
	Namespace string

	spaces  map[string]*names
	anyones names // of ClusterGenerators: of every namespace that is worked in
}

// names are those of one namespace.
type names struct {
	works                   bool // there are objects to work on
	reads, writes, accounts set
}

type set map[string]bool

// add adds a name, if it is one.
func (s *set) add(name string) {
	if name == "" {
		return
	}
	if *s == nil {
		*s = set{}
	}
	(*s)[name] = true
}

func (c *Census) in(namespace string) *names {
	if c.spaces == nil {
		c.spaces = map[string]*names{}
	}
	if c.spaces[namespace] == nil {
		c.spaces[namespace] = &names{}
	}
	return c.spaces[namespace]
}

// Namespaces are those with objects to work on, sorted; Others those that only
// ClusterSecretStores take credentials from.
func (c *Census) Namespaces() (worked, others []string) {
	for _, ns := range slices.Sorted(maps.Keys(c.spaces)) {
		if c.spaces[ns].works {
			worked = append(worked, ns)
		} else {
			others = append(others, ns)
		}
	}
	return worked, others
}

// Named returns the names, for rbac.Options.
func (c *Census) Named() map[string]rbac.Names {
	out := map[string]rbac.Names{}
	for ns, n := range c.spaces {
		reads, accounts := maps.Clone(n.reads), maps.Clone(n.accounts)
		if n.works {
			for name := range c.anyones.reads {
				reads.add(name)
			}
			for name := range c.anyones.accounts {
				accounts.add(name)
			}
		}
		out[ns] = rbac.Names{Read: slices.Sorted(maps.Keys(reads)), Write: slices.Sorted(maps.Keys(n.writes)), Accounts: slices.Sorted(maps.Keys(accounts))}
	}
	return out
}

// largest bounds what is read of one file, in bytes.
const largest = 64 << 20

// Add reads the documents of a file, such as what kubectl get -o yaml prints. Errors
// are Invalid, or Unsupported for what cannot be named, and quote no document.
func (c *Census) Add(file string, from io.Reader) error {
	documents := yaml.NewYAMLReader(bufio.NewReader(io.LimitReader(from, largest)))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		place := fmt.Sprintf("%s: document %d", file, n)
		if err != nil {
			return errs.Newf(errs.Invalid, "%s: reading it: %w", place, err)
		}
		raw, err := parse.YAMLToJSON(text)
		if err != nil {
			return errs.Newf(errs.Invalid, "%s: this is not YAML", place)
		}
		if string(raw) == "null" {
			continue
		}
		if err := c.document(place, raw); err != nil {
			return err
		}
	}
}

// object is what every document has.
type object struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Items           []json.RawMessage `json:"items"`
	Spec            json.RawMessage   `json:"spec"`
}

func (c *Census) document(place string, raw []byte) error {
	var o object
	if json.Unmarshal(raw, &o) != nil || o.Kind == "" {
		return errs.Newf(errs.Invalid, "%s: this is no Kubernetes object", place)
	}
	if o.Items != nil && strings.HasSuffix(o.Kind, "List") {
		for i, item := range o.Items {
			if err := c.document(fmt.Sprintf("%s, item %d", place, i+1), item); err != nil {
				return err
			}
		}
		return nil
	}
	if o.Metadata.Namespace == "" {
		o.Metadata.Namespace = c.Namespace
	}
	err := c.object(o, raw)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "%s: %s %q: %w", place, o.Kind, o.Metadata.Name, err)
	}
	return nil
}

func (c *Census) object(o object, raw []byte) error {
	switch o.GroupVersionKind().Group {
	case v1.Group:
	case generators.Group:
		return c.generator(o)
	default:
		return nil // the operator does not follow it
	}
	switch o.Kind {
	case v1.KindExternalSecret:
		return c.externalSecret(o, raw)
	case "PushSecret":
		return c.pushSecret(o, raw)
	case v1.KindSecretStore:
		c.in(o.Metadata.Namespace).works = true
		return c.walk(o.Spec, c.in(o.Metadata.Namespace))
	case v1.KindClusterSecretStore:
		return c.walk(o.Spec, nil)
	default: // ClusterExternalSecret and ClusterPushSecret
		return errs.New(errs.Unsupported, "it makes objects in namespaces that are chosen by labels, so that no role can name what they write: leave it out, and give the objects that it makes")
	}
}

func (c *Census) generator(o object) error {
	switch o.Kind {
	case generators.KindClusterGenerator:
		return c.walk(o.Spec, &c.anyones)
	case generators.KindGeneratorState:
		return nil
	}
	c.in(o.Metadata.Namespace).works = true
	return c.walk(o.Spec, c.in(o.Metadata.Namespace))
}

func (c *Census) externalSecret(o object, raw []byte) error {
	var es v1.ExternalSecret
	if err := json.Unmarshal(raw, &es); err != nil {
		return errs.New(errs.Invalid, "its fields are not those of an ExternalSecret")
	}
	in := c.in(o.Metadata.Namespace)
	in.works = true
	if target.Policy(&es) != v1.CreateNone && es.Spec.Target.Manifest == nil {
		in.writes.add(target.Name(&es))
	}
	if t := es.Spec.Target.Template; t != nil {
		in.templates(t.TemplateFrom)
	}
	return nil
}

// templates adds the Secrets that hold templates.
func (n *names) templates(from []v1.TemplateFrom) {
	for _, f := range from {
		if f.Secret != nil {
			n.reads.add(f.Secret.Name)
		}
	}
}

func (c *Census) pushSecret(o object, raw []byte) error {
	var ps v1alpha1.PushSecret
	if err := json.Unmarshal(raw, &ps); err != nil {
		return errs.New(errs.Invalid, "its fields are not those of a PushSecret")
	}
	in := c.in(o.Metadata.Namespace)
	in.works = true
	if s := ps.Spec.Selector.Secret; s != nil {
		if s.Selector != nil {
			return errs.New(errs.Unsupported, "selector.secret.selector chooses Secrets by labels, which needs the right to list, and so to read, all of them: name the Secret, or give the operator the roles without -f")
		}
		in.reads.add(s.Name)
	}
	if ps.Spec.Template != nil {
		in.templates(ps.Spec.Template.TemplateFrom)
	}
	for _, b := range plan.AllBeside(&ps.Spec) {
		if b.Kind == "Secret" {
			in.reads.add(b.Name)
		}
	}
	return nil
}
