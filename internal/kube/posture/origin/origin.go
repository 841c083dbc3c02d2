package origin

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Kind is where content comes from. The words are stable: programs read them.
type Kind string

// The origins.
const (
	Vault      Kind = "Vault"      // it is the store itself
	Store      Kind = "Store"      // a manager outside, by an ExternalSecret, a CSI class, a VaultStaticSecret: the object holds a copy
	Generator  Kind = "Generator"  // drawn by a generator of such a manager, or a credential that it makes for the asking
	Sealed     Kind = "Sealed"     // a SealedSecret or SopsSecret: encrypted in Git, by a key of this cluster
	Issuer     Kind = "Issuer"     // a Certificate of cert-manager
	Kubernetes Kind = "Kubernetes" // a token that Kubernetes makes
	Operator   Kind = "Operator"   // another object that makes it up
	GitOps     Kind = "GitOps"     // applied by Flux or Argo CD, with the value in Git
	Helm       Kind = "Helm"       // a chart, or Helm's record of a release
	Manifest   Kind = "Manifest"   // a file, or code such as Terraform's, that holds the value
	Hand       Kind = "Hand"       // kubectl, a console
	Client     Kind = "Client"     // some other program
	Mirror     Kind = "Mirror"     // another object, by a tool that copies
	Git        Kind = "Git"        // it is a file of a repository itself
	Unknown    Kind = "Unknown"
)

// ranks has the most authoritative first.
var ranks = func() map[Kind]int {
	out := map[Kind]int{}
	for i, k := range []Kind{Vault, Store, Generator, Sealed, Issuer, Kubernetes, Operator, GitOps, Helm, Manifest, Hand, Client, Mirror, Unknown, Git} {
		out[k] = i
	}
	return out
}()

// Rank orders kinds, the most authoritative first.
func (k Kind) Rank() int { return ranks[k] }

// Origin is where an object's content comes from. Fields are only ever added.
type Origin struct {
	Kind Kind `json:"kind"`
	// By is the object that makes it; of a Mirror the one it is copied from.
	By snapshot.Ref `json:"by,omitzero"`
	// Tool is what says so where no object does: a program by its name in managedFields, a
	// tool by its mark, a file.
	Tool string `json:"tool,omitempty"`
	// Store is the store that By reads, for people, and Remote what it is called there.
	Store  string            `json:"store,omitempty"`
	Remote []snapshot.Remote `json:"remote,omitempty"`
	// Ready and Reason are By's condition.
	Ready  string `json:"ready,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Gone says that By is not there any more.
	Gone bool `json:"gone,omitempty"`
}

// String is for people: "ExternalSecret shop/db, vault https://…".
func (o *Origin) String() string {
	switch {
	case o.By.Name == "":
		return words[o.Kind]
	case o.Store != "":
		return o.By.String() + ", " + o.Store
	}
	return o.By.String()
}

var words = map[Kind]string{
	Vault: "the vault", Store: "a store", Generator: "a generator", Sealed: "sealed in Git", Issuer: "cert-manager", Kubernetes: "Kubernetes", Operator: "an operator",
	GitOps: "GitOps", Helm: "Helm", Manifest: "a manifest", Hand: "by hand", Client: "a program", Mirror: "a replicator", Git: "in Git", Unknown: "not known",
}

// Said is what says so, for a sentence: "Secret shop/db, by Reflector"; "" if nothing does.
func (o *Origin) Said() string {
	switch {
	case o.By.Name == "":
		return o.Tool
	case o.Tool != "":
		return o.By.String() + ", by " + o.Tool
	}
	return o.By.String()
}

// Index is a snapshot by what origins are found by. It is immutable, and may be used
// by any number of goroutines.
type Index struct {
	snapshot *snapshot.Snapshot
	makers   map[snapshot.Ref][]*snapshot.Source
	sources  map[snapshot.Ref]bool
	stores   map[snapshot.Ref]*snapshot.Store
	secrets  map[path.Name]*snapshot.Secret
	releases map[path.Name]bool
}

// New makes an Index of s.
func New(s *snapshot.Snapshot) *Index {
	x := &Index{
		snapshot: s, makers: map[snapshot.Ref][]*snapshot.Source{}, sources: make(map[snapshot.Ref]bool, len(s.Sources)), stores: map[snapshot.Ref]*snapshot.Store{},
		secrets: make(map[path.Name]*snapshot.Secret, len(s.Secrets)), releases: map[path.Name]bool{},
	}
	for i := range s.Sources {
		src := &s.Sources[i]
		x.sources[refOf(src)] = true
		for _, made := range src.Makes {
			x.makers[made] = append(x.makers[made], src)
		}
	}
	for i := range s.Stores {
		st := &s.Stores[i]
		x.stores[snapshot.Ref{Kind: st.Kind, Namespace: st.Namespace, Name: st.Name}] = st
	}
	for i := range s.Secrets {
		one := &s.Secrets[i]
		x.secrets[path.Name{Namespace: one.Namespace, Name: one.Name}] = one
		x.release(one.Namespace, one.Release)
	}
	for i := range s.ConfigMaps {
		x.release(s.ConfigMaps[i].Namespace, s.ConfigMaps[i].Release)
	}
	return x
}

func (x *Index) release(namespace string, r *snapshot.Release) {
	if r != nil {
		x.releases[path.Name{Namespace: namespace, Name: r.Name}] = true
	}
}

func refOf(s *snapshot.Source) snapshot.Ref {
	return snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
}

// Makers are the Sources that make an object.
func (x *Index) Makers(of snapshot.Ref) []*snapshot.Source { return x.makers[of] }

// Store is that of a source, nil if it has none or it is not there.
func (x *Index) Store(s *snapshot.Source) *snapshot.Store {
	if s.Store.Name == "" {
		return nil
	}
	r := snapshot.Ref{Kind: s.Store.Kind, Namespace: s.Store.Namespace, Name: s.Store.Name}
	switch {
	case r.Kind == "ClusterSecretStore":
		r.Namespace = ""
	case r.Namespace == "":
		r.Namespace = s.Namespace
	}
	return x.stores[r]
}

// Object is what is asked about.
type Object struct {
	snapshot.Ref
	// Meta of what is in a cluster or a manifest; nil of a file or a vault.
	*snapshot.Meta
	// Type and Account of a Secret; Release of a Secret or ConfigMap of Helm.
	Type, Account string
	Release       *snapshot.Release
}

// Secret says where the content of s comes from.
func (x *Index) Secret(s *snapshot.Secret) Origin {
	return x.Of(Object{Ref: Ref(s), Meta: &s.Meta, Type: s.Type, Account: s.Account, Release: s.Release})
}

// Of says where the content of o comes from.
func (x *Index) Of(o Object) Origin {
	switch {
	case o.Ref.Kind == "Vault":
		return Origin{Kind: Vault}
	case o.Ref.Kind == "File":
		return Origin{Kind: Git}
	}
	for _, ask := range []func(*Object) (Origin, bool){x.byMaker, byType, x.byController, x.byMark, byWriter, x.byOwner, byClient, byPlace} {
		if found, ok := ask(&o); ok {
			return found
		}
	}
	return Origin{Kind: Unknown}
}

func (x *Index) byMaker(o *Object) (Origin, bool) {
	makers := x.makers[o.Ref]
	if len(makers) == 0 {
		return Origin{}, false
	}
	return x.Made(makers[0]), true
}

// Made is the origin of what s makes.
func (x *Index) Made(s *snapshot.Source) Origin {
	if s.Kind == copied {
		return x.mirrored(s)
	}
	o := Origin{Kind: makes(s.Group, s.Kind), By: refOf(s), Remote: s.Remote, Ready: s.Ready, Reason: s.Reason}
	if s.Generator {
		o.Kind = Generator
	}
	if st := x.Store(s); st != nil {
		o.Store = strings.Join(strings.Fields(st.Provider+" "+st.Server+" "+st.Mount), " ")
	} else if s.Store.Name != "" {
		o.Store = s.Store.Kind + " " + s.Store.Name
	}
	return o
}

// copied is the kind of the Sources that are copies by an annotation; their group is
// the domain of that.
const copied = "Copy"

func (x *Index) mirrored(s *snapshot.Source) Origin {
	o := Origin{Kind: Mirror, Tool: replicators[s.Group]}
	if len(s.Reads) > 0 {
		o.By = s.Reads[0]
		o.Gone = x.gone(o.By)
	}
	return o
}

// gone reports whether a Secret is not there; of others nobody knows.
func (x *Index) gone(r snapshot.Ref) bool {
	return r.Kind == "Secret" && r.Name != "" && x.snapshot.Coverage.Whole("secrets") && x.secrets[path.Name{Namespace: r.Namespace, Name: r.Name}] == nil
}

func byType(o *Object) (Origin, bool) {
	switch {
	case o.Type == tokenType && o.Account != "":
		return Origin{Kind: Kubernetes, By: snapshot.Ref{Kind: "ServiceAccount", Namespace: o.Ref.Namespace, Name: o.Account}}, true
	case o.Type == tokenType || o.Type == bootstrapType:
		return Origin{Kind: Kubernetes, Tool: o.Type}, true
	case o.Release != nil || o.Type == releaseType:
		return Origin{Kind: Helm, Tool: "Helm, as its record"}, true
	}
	return Origin{}, false
}

func (x *Index) byController(o *Object) (Origin, bool) {
	if o.Meta == nil {
		return Origin{}, false
	}
	at := slices.IndexFunc(o.Owners, func(w snapshot.Owner) bool { return w.Controller })
	if at < 0 {
		return Origin{}, false
	}
	return x.owned(o, &o.Owners[at]), true
}

func (x *Index) byOwner(o *Object) (Origin, bool) {
	if o.Meta == nil || len(o.Owners) == 0 {
		return Origin{}, false
	}
	return x.owned(o, &o.Owners[0]), true
}

// owned is the origin of what another object owns. That is gone if its kind was
// read and it is not there.
func (x *Index) owned(o *Object, by *snapshot.Owner) Origin {
	out := Origin{Kind: makes(by.Group, by.Kind), By: by.Ref}
	if out.By.Namespace == "" {
		out.By.Namespace = o.Ref.Namespace
	}
	out.Gone = read(by.Group, by.Kind) && x.snapshot.Coverage.Whole("sources") && !x.sources[out.By]
	return out
}

func (x *Index) byMark(o *Object) (Origin, bool) {
	if o.Meta == nil {
		return Origin{}, false
	}
	for i := range marks {
		m := &marks[i]
		value, ok := o.Annotations[m.key]
		if !ok {
			value, ok = o.Labels[m.key]
		}
		if !ok {
			continue
		}
		out := Origin{Kind: m.is, Tool: m.tool}
		switch m.names {
		case aSource:
			out.By = copiedFrom(o.Ref, value)
			out.Gone = x.gone(out.By)
		case aRelease:
			out.By = snapshot.Ref{Kind: "Release", Namespace: o.Annotations["meta.helm.sh/release-namespace"], Name: value}
			out.Gone = x.released(out.By)
		}
		return out, true
	}
	return Origin{}, false
}

// copiedFrom is the object that a replicator's annotation names: NAMESPACE/NAME, or the
// name of one beside.
func copiedFrom(own snapshot.Ref, value string) snapshot.Ref {
	out := snapshot.Ref{Kind: own.Kind, Namespace: own.Namespace, Name: value}
	if ns, name, ok := strings.Cut(value, "/"); ok {
		out.Namespace, out.Name = ns, name
	}
	return out
}

// released reports whether a release of Helm is gone. Where no release is to be seen,
// they are kept elsewhere.
func (x *Index) released(r snapshot.Ref) bool {
	return x.snapshot.Coverage.Whole("secrets", "secrets/values") && len(x.releases) > 0 && !x.releases[path.Name{Namespace: r.Namespace, Name: r.Name}]
}

func byWriter(o *Object) (Origin, bool) {
	name := Writer(o.Meta)
	kind, ok := writer(name)
	return Origin{Kind: kind, Tool: name}, ok
}

func byClient(o *Object) (Origin, bool) {
	name := Writer(o.Meta)
	return Origin{Kind: Client, Tool: name}, name != ""
}

// byPlace is a file that an object was read from. One that has been in a cluster was
// taken out of it, and the file says nothing of where it came from.
func byPlace(o *Object) (Origin, bool) {
	if o.Meta == nil || o.Place == "" || o.UID != "" {
		return Origin{}, false
	}
	return Origin{Kind: Manifest, Tool: o.Place}, true
}

// Writer is who last wrote content, "" if nothing says so.
func Writer(m *snapshot.Meta) string {
	if m == nil {
		return ""
	}
	for _, w := range slices.Backward(m.Writers) {
		if w.Content {
			return w.Manager
		}
	}
	return ""
}
