package adoption

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Check and its Rules are what is found no longer of what was adopted.
const Check = "SEC-05"

// Rules of Check, see there.
var Rules = []string{"MadeByHand", "InManifest", "NobodySays", "CopyOfUnmanaged"}

// Vault is a vault with KV engines of version 2. Paths are as people write them,
// without data/: "secret/shop/db".
type Vault interface {
	// Mount returns the mount that a path lies in, "secret". Unsupported: it is no KV
	// engine of version 2.
	Mount(ctx context.Context, path string) (string, error)
	// Read returns the newest version; nil where there never was one. Conflict: the
	// newest was deleted.
	Read(ctx context.Context, path string) (map[string]redact.Secret, error)
	// Create writes the first version, by check-and-set: it never goes over another.
	Create(ctx context.Context, path string, fields map[string]redact.Secret) error
}

// Maker makes the Secret of an ExternalSecret as an operator would. preview.Maker is one.
type Maker interface {
	Secret(ctx context.Context, es *v1.ExternalSecret) (preview.Made, error)
}

// Options are what a user says.
type Options struct {
	// Store is NAME of a SecretStore beside the Secret, or KIND/NAME.
	Store string
	// Path is where in the vault the values lie, or are to.
	Path string
	// Copies takes the other Secrets with the same credential too, of the namespaces In,
	// of all if it is empty.
	Copies bool
	In     []string
	// Anyway takes what a manifest or a chart may write again.
	Anyway bool
}

// Adopter plans and applies adoptions. All fields are required.
type Adopter struct {
	Client client.WithWatch // knows core and external-secrets.io
	Vault  Vault
	Maker  Maker
	// Seen is the cluster; values are not needed.
	Seen *check.Input
	// Wait is how long an operator may take; Now tells the time for that.
	Wait time.Duration
	Now  func() time.Time
}

// Adoption is a Plan, and what it needs that is in no plan: values.
type Adoption struct {
	*remedy.Plan
	path   string
	absent bool // nothing lies at path yet
	fields fields
	taken  []taken
	key    []byte // of digests, for this run
}

// taken is one Secret that is adopted.
type taken struct {
	types.NamespacedName
	uid    types.UID
	digest string
	// es is what is to read the vault for it, spec the same as it is written; nil if
	// something else does already. begun says that it is there, of a run that stopped.
	es    *v1.ExternalSecret
	spec  map[string]any
	begun bool
}

// Plan looks at what there is and says what would be done. Nothing is written.
func (a *Adopter) Plan(ctx context.Context, target remedy.Target, o Options) (*Adoption, error) {
	if o.Store == "" || o.Path == "" {
		return nil, errs.New(errs.Invalid, "say where the credential is to lie and by which store it is read: -path=secret/shop/db -store=NAME, or -store=ClusterSecretStore/NAME")
	}
	source, err := a.secret(ctx, types.NamespacedName{Namespace: target.Namespace, Name: target.Name})
	if err != nil {
		return nil, err
	}
	managed, err := a.mayTake(source, o)
	if err != nil {
		return nil, err
	}
	p := &planning{Adopter: a, o: o, source: source, out: &Adoption{path: strings.Trim(o.Path, "/"), fields: fieldsOf(source), key: newKey()}}
	if err := p.take(ctx, source, p.out.fields.all(), managed); err != nil {
		return nil, err
	}
	if err := p.vault(ctx, p.out.taken[0].es == nil); err != nil {
		return nil, err
	}
	if o.Copies {
		if err := p.copies(ctx); err != nil {
			return nil, err
		}
	}
	return p.finish(ctx)
}

// planning is a plan being made.
type planning struct {
	*Adopter
	o      Options
	source *corev1.Secret
	mount  string // that the path lies in; "" until it is needed
	out    *Adoption
	told   []string // what is left alone, for people
}

// vault looks at what lies at the path; managed says that something else fills the
// source from a store.
func (p *planning) vault(ctx context.Context, managed bool) error {
	have, err := p.Vault.Read(ctx, p.out.path)
	if err != nil {
		return err
	}
	switch {
	case have != nil:
		return p.out.fields.same(have, p.out.path)
	case managed:
		return errs.Newf(errs.NotExist, "Secret %s/%s is filled from a store already, and nothing lies at %s: give the -path that it is filled from", p.source.Namespace, p.source.Name, p.out.path)
	}
	p.out.absent = true
	return nil
}

// take adds a Secret; from says which field each of its keys comes from. What is managed
// is filled from a store already: by an ExternalSecret of a run that stopped, with which
// this goes on, or by something else, which is left as it is.
func (p *planning) take(ctx context.Context, s *corev1.Secret, from map[string]string, managed bool) error {
	t := taken{NamespacedName: client.ObjectKeyFromObject(s), uid: s.UID, digest: digest(p.out.key, s.Data)}
	reads, key, err := p.reads(ctx, s.Namespace, managed)
	if err != nil {
		return err
	}
	if reads == nil {
		p.out.taken = append(p.out.taken, t)
		return nil
	}
	t.spec = p.spec(s, from, reads, key)
	have := &v1.ExternalSecret{}
	switch err := p.Client.Get(ctx, t.NamespacedName, have); {
	case apierrors.IsNotFound(err) && managed:
		t.spec = nil
	case apierrors.IsNotFound(err):
		t.es, err = external(t.NamespacedName, t.spec)
		if err != nil {
			return err
		}
	case err != nil:
		return explain(err, "reading ExternalSecret "+t.String())
	case ours(&have.Spec, t.spec):
		t.es, t.begun = have, true
	case managed:
		t.spec = nil
	default:
		return errs.Newf(errs.Exist, "there is an ExternalSecret %s already, for something else: strongkeep doctor externalsecret %s", t, t)
	}
	p.out.taken = append(p.out.taken, t)
	return nil
}

// finish makes the steps. Without any there is still something to do where a run
// stopped before an operator came.
func (p *planning) finish(ctx context.Context) (*Adoption, error) {
	out := p.out
	steps, err := p.steps(ctx)
	if err != nil {
		return nil, err
	}
	late, err := p.late(ctx, out)
	if err != nil {
		return nil, err
	}
	if len(steps)+len(late) == 0 {
		return nil, errs.Newf(errs.NotExist, "Secret %s/%s is filled from a store already, and there is nothing else to adopt", p.source.Namespace, p.source.Name)
	}
	out.Plan = &remedy.Plan{
		Check: Check, Rules: Rules, Object: ref(out.taken[0].NamespacedName), Steps: steps,
		Does:  fmt.Sprintf("makes %s in the vault the source of %s", out.path, p.names()),
		Risks: p.risks(),
	}
	if out.absent {
		out.Writes = fmt.Sprintf("%s of the vault: fields %s of Secret %s, if nothing lies there (check-and-set 0)", out.path, strings.Join(slices.Sorted(maps.Keys(out.fields)), ", "), out.taken[0])
	}
	for _, t := range out.taken[1:] {
		out.Also = append(out.Also, ref(t.NamespacedName))
	}
	return out, nil
}

func (p *planning) names() string {
	var names []string
	for _, t := range p.out.taken {
		names = append(names, t.String())
	}
	if len(names) == 1 {
		return "Secret " + names[0]
	}
	return "Secrets " + strings.Join(names, ", ")
}

func (p *planning) risks() []string {
	out := []string{
		"from then on the vault's value counts: what somebody writes into these keys by hand is put right again",
		"a Secret that is deleted is not made anew (creationPolicy Merge): once all is well, a new name with creationPolicy Owner would be",
		"who could read the value before knows it still: change it in the vault, or by a Rotation, when it is adopted",
	}
	if p.out.absent {
		out = append(out, "committed before the vault has the value, the ExternalSecrets are not ready, and leave the Secrets as they are; -apply writes it")
	}
	if p.o.Copies {
		out = append(out, fmt.Sprintf("copies inside other values, in ConfigMaps, variables, releases and other clusters are not replaced: strongkeep trace secret %s/%s has them", p.source.Namespace, p.source.Name))
	}
	for _, t := range p.out.taken {
		if t.begun {
			out = append(out, fmt.Sprintf("ExternalSecret %s is there already, and is to read the same: it is gone on with from there", t))
		}
	}
	return append(out, p.told...)
}

func ref(n types.NamespacedName) snapshot.Ref {
	return snapshot.Ref{Kind: "Secret", Namespace: n.Namespace, Name: n.Name}
}
