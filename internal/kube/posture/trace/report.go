package trace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Report is all that is known of a credential. Fields are only ever added.
type Report struct {
	ID string `json:"id"`
	// Name is the object that the others are copies of, and the keys of it.
	Name string   `json:"name"`
	Keys []string `json:"keys,omitempty"`
	// Known says that copies were looked for: see Credential.Known.
	Known  bool          `json:"copiesKnown"`
	Source origin.Origin `json:"source"`
	// Versions are those that Strongkeep noted that the Secret was made of, by place.
	Versions  map[string]string `json:"versions,omitempty"`
	Age       Age               `json:"age,omitzero"`
	Days      int               `json:"days"` // of Age, -1 if nothing is known
	Writer    string            `json:"writer,omitempty"`
	Copies    []Copy            `json:"copies"`
	Targets   []Target          `json:"pushedTo,omitempty"`
	Consumers []Consumer        `json:"consumers"`
	Readers   []Readers         `json:"readers"`
	Rotation  *Rotation         `json:"rotation,omitempty"`
	Owner     Owner             `json:"owner,omitzero"`
	// Unused is "yes" (nothing that was read uses it), "no", or "cannot tell" with
	// what was not read in Missing.
	Unused   string   `json:"unused"`
	Orphaned []string `json:"orphaned,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

// Readers are those of one cluster who get at a credential, by whatever copy.
type Readers struct {
	Cluster string `json:"cluster,omitempty"`
	// Count is without Kubernetes' own, which are Builtin, and without those who see
	// only what is written from now on, who are Later.
	Count   int `json:"count"`
	Direct  int `json:"direct"`
	Builtin int `json:"builtin"`
	Later   int `json:"later,omitempty"`
	// First are some of Count, shortest chains first.
	First []Reader `json:"first,omitempty"`
}

// Reader is somebody who gets at a credential, in words: the kinds of docs/who-can.md.
type Reader struct {
	Subject string   `json:"subject"`
	Steps   []string `json:"steps"`
}

// maxFirst bounds Readers.First; who-can names all.
const maxFirst = 10

// needed are the resources without which nobody can say that nothing uses a Secret.
var needed = []string{"pods", "workloads", "serviceaccounts", "uses", "sources"}

// Trace tells all of c.
func (g *Graph) Trace(c *Credential) *Report {
	h := c.first()
	r := &Report{
		ID: c.ID(), Name: c.Title(), Keys: c.keys(h), Known: c.Known(), Source: h.origin(), Age: c.age(), Writer: h.writer(),
		Targets: c.targets(), Consumers: c.consumers(), Rotation: c.rotation(), Copies: make([]Copy, 0, len(c.holders)), Readers: []Readers{},
	}
	r.Versions = versions(h)
	r.Days = -1
	if !r.Age.Since.IsZero() {
		r.Days = int(g.now.Sub(r.Age.Since).Hours() / 24)
	}
	for _, holder := range c.holders {
		one := c.copyOf(holder)
		if holder == h {
			r.Copies = slices.Insert(r.Copies, 0, one)
		} else {
			r.Copies = append(r.Copies, one)
		}
	}
	r.Owner = g.owner(h, r.Consumers)
	for _, w := range g.clusters {
		if readers, any := c.readers(w); any {
			r.Readers = append(r.Readers, readers)
		}
	}
	r.Unused, r.Missing = c.unused(r.Consumers)
	r.Orphaned = c.orphaned()
	return r
}

// versions are what the operator noted on h.
func versions(h *holder) map[string]string {
	if h.meta == nil {
		return nil
	}
	var out map[string]string
	for k, text := range h.meta.Annotations {
		if k != "strongkeep.io/versions" && !strings.HasPrefix(k, "versions.strongkeep.io/") {
			continue
		}
		var noted map[string]string
		if json.Unmarshal([]byte(text), &noted) != nil {
			continue // somebody else wrote there
		}
		if out == nil {
			out = map[string]string{}
		}
		maps.Copy(out, noted)
	}
	return out
}

// Title is the object that the others are copies of.
func (c *Credential) Title() string {
	h := c.first()
	t := h.ref.String()
	if h.ref.Kind == "Secret" {
		t = name(h.ref).String()
	}
	if h.world.Name != "" {
		t = h.world.Name + "/" + t
	}
	return t
}

// readers are those of a cluster; false if it holds no copy.
func (c *Credential) readers(w *world) (Readers, bool) {
	var objects []path.Copy
	for _, h := range c.holders {
		if h.world == w {
			objects = append(objects, h.paths()...)
		}
	}
	if len(objects) == 0 {
		return Readers{}, false
	}
	// The Secret before its copies: of two chains of one length the plainer one.
	slices.SortStableFunc(objects, func(a, b path.Copy) int { return rank(a) - rank(b) })
	out := Readers{Cluster: w.Name}
	found := w.paths().ReadersOf(objects)
	for i := range found {
		f := &found[i]
		switch {
		case f.Builtin():
			out.Builtin++
			continue
		case f.Later():
			out.Later++
			continue
		case f.Direct():
			out.Direct++
		}
		if out.Count++; len(out.First) < maxFirst {
			out.First = append(out.First, reader(f))
		}
	}
	return out, true
}

func rank(c path.Copy) int {
	if c.Resource == "secrets" {
		return 0
	}
	return 1
}

func reader(r *path.Reader) Reader {
	out := Reader{Subject: r.Subject.String()}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, string(s.Kind)+" "+s.On)
	}
	return out
}

// paths is the Finder of a cluster, made when it is first asked.
func (w *world) paths() *path.Finder {
	w.once.Do(func() { w.finder = w.Finder() })
	return w.finder
}

// unused says whether nothing that was read uses c.
func (c *Credential) unused(consumers []Consumer) (answer string, missing []string) {
	if len(consumers) > 0 || slices.ContainsFunc(c.holders, (*holder).outside) {
		return "no", nil
	}
	for _, h := range c.holders {
		for _, m := range h.world.Coverage.Missing(needed...) {
			if !slices.Contains(missing, m) {
				missing = append(missing, m)
			}
		}
	}
	if len(missing) > 0 {
		return "cannot tell", missing
	}
	return "yes", nil
}

// outside reports whether those that use h are not in the cluster, or are Kubernetes
// or Helm themselves: that nothing refers to it says nothing.
func (h *holder) outside() bool {
	s := h.secret
	return s != nil && (s.Release != nil || strings.HasPrefix(s.Type, "kubernetes.io/service-account-token") || strings.HasPrefix(s.Type, "bootstrap.kubernetes.io/"))
}

// orphaned says what of its holders has lost what made it.
func (c *Credential) orphaned() []string {
	var out []string
	for _, h := range c.holders {
		o := h.origin()
		switch {
		case o.Gone:
			out = append(out, fmt.Sprintf("%s: %s, which made it, is gone", h.ref, o.By))
		case o.Ready == "False":
			out = append(out, fmt.Sprintf("%s: %s is not ready: %s", h.ref, o.By, o.Reason))
		case h.secret != nil && h.secret.Account != "" && h.world.Coverage.Whole("serviceaccounts") && !h.world.account[path.Name{Namespace: h.ref.Namespace, Name: h.secret.Account}]:
			out = append(out, fmt.Sprintf("%s: its ServiceAccount %s is gone", h.ref, h.secret.Account))
		}
	}
	return out
}

// Resolve finds what a name of a Secret means: NAMESPACE/NAME, with CLUSTER/ in front
// where there are several.
func (g *Graph) Resolve(cluster string, secret path.Name) ([]*Credential, bool) {
	if cluster == "" {
		cluster = g.first()
	}
	return g.Of(cluster, snapshot.Ref{Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name})
}
