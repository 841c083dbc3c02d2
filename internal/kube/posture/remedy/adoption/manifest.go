package adoption

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
)

// reads is how a store reads the path.
type reads struct {
	kind, name string
	mount      string // as the store has it; "" if keys begin with it
}

// reads finds the store and its key of the path, for a Secret of a namespace. One that is
// managed is not this store's where the store is not there or reads elsewhere: then it
// is nil, and no error.
func (p *planning) reads(ctx context.Context, namespace string, managed bool) (*reads, string, error) {
	found, err := p.store(ctx, p.o, namespace)
	if managed && (errs.Is(err, errs.NotExist) || errs.Is(err, errs.Unsupported)) {
		return nil, "", nil
	}
	if err == nil && p.mount == "" {
		p.mount, err = p.Vault.Mount(ctx, p.out.path)
	}
	if err != nil {
		return nil, "", err
	}
	key, err := found.key(p.out.path, p.mount)
	if err != nil && managed {
		return nil, "", nil
	}
	return found, key, err
}

// store finds the store as namespace sees it. It must be of a vault's KV version 2.
func (a *Adopter) store(ctx context.Context, o Options, namespace string) (*reads, error) {
	kind, name, both := strings.Cut(o.Store, "/")
	if !both {
		kind, name = v1.KindSecretStore, o.Store
	}
	var store v1.Store = &v1.SecretStore{}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	switch {
	case strings.EqualFold(kind, v1.KindClusterSecretStore):
		kind, key.Namespace, store = v1.KindClusterSecretStore, "", &v1.ClusterSecretStore{}
	case strings.EqualFold(kind, v1.KindSecretStore):
		kind = v1.KindSecretStore
	default:
		return nil, errs.Newf(errs.Invalid, "-store=%s: it is NAME, SecretStore/NAME or ClusterSecretStore/NAME", o.Store)
	}
	if err := a.Client.Get(ctx, key, store); apierrors.IsNotFound(err) {
		return nil, errs.Newf(errs.NotExist, "there is no %s %s for namespace %s: make one first, such as\n%s", kind, name, namespace, proposal(kind, name, namespace, o.Path))
	} else if err != nil {
		return nil, explain(err, "reading "+kind+" "+name)
	}
	provider, raw, err := store.StoreSpec().Provider.One()
	if err != nil {
		return nil, err
	}
	var settings struct{ Path, Version string }
	if json.Unmarshal(raw, &settings) != nil || provider != "vault" && provider != "openBao" || settings.Version == "v1" {
		return nil, errs.Newf(errs.Unsupported, "%s %s is no store of a vault's KV engine of version 2: values are written there only", kind, name)
	}
	return &reads{kind: kind, name: name, mount: strings.Trim(settings.Path, "/")}, nil
}

// proposal is a store to begin with.
func proposal(kind, name, namespace, path string) string {
	mount, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
	where := "{name: " + name + "}"
	if kind == v1.KindSecretStore {
		where = "{namespace: " + namespace + ", name: " + name + "}"
	}
	return fmt.Sprintf(`apiVersion: external-secrets.io/v1
kind: %s
metadata: %s
spec:
  provider:
    vault:
      server: https://vault.example:8200
      path: %s
      version: v2
      auth: {kubernetes: {mountPath: kubernetes, role: %s, serviceAccountRef: {name: default}}}
`, kind, where, mount, namespace)
}

// key is that by which the store reads path, which lies in mount.
func (r *reads) key(path, mount string) (string, error) {
	rest := strings.TrimPrefix(path, mount+"/")
	switch r.mount {
	case mount:
		return rest, nil
	case "":
		return mount + "/data/" + rest, nil
	}
	return "", errs.Newf(errs.Invalid, "%s %s reads below %s, and -path=%s lies in %s: give a path below that, or another -store", r.kind, r.name, r.mount, path, mount)
}

// spec is that of the ExternalSecret of a Secret; from says which field each key
// comes from.
func (p *planning) spec(s *corev1.Secret, from map[string]string, r *reads, at string) map[string]any {
	var data []any
	for _, key := range slices.Sorted(maps.Keys(from)) {
		remote := map[string]any{"key": at, "property": from[key]}
		if p.out.fields[from[key]].binary {
			remote["decodingStrategy"] = string(v1.DecodingBase64)
		}
		data = append(data, map[string]any{"secretKey": key, "remoteRef": remote})
	}
	return map[string]any{
		"refreshInterval": "1h0m0s",
		"secretStoreRef":  map[string]any{"kind": r.kind, "name": r.name},
		"target":          map[string]any{"name": s.Name, "creationPolicy": string(v1.CreateMerge), "deletionPolicy": string(v1.DeletionRetain)},
		"data":            data,
	}
}

const version = "external-secrets.io/v1"

// object is an ExternalSecret.
func object(name types.NamespacedName, spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": version, "kind": v1.KindExternalSecret, "spec": spec,
		"metadata": map[string]any{"namespace": name.Namespace, "name": name.Name},
	}
}

// external is the same as operators read it.
func external(name types.NamespacedName, spec map[string]any) (*v1.ExternalSecret, error) {
	es := &v1.ExternalSecret{}
	text, err := json.Marshal(object(name, spec))
	if err == nil {
		err = json.Unmarshal(text, es)
	}
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making an ExternalSecret: %w", err)
	}
	return es, nil
}

// steps makes the ExternalSecrets; of those that differ by their namespace alone one
// ClusterExternalSecret, where the store is for all namespaces. What a run that stopped
// has made is no step again.
func (p *planning) steps(ctx context.Context) ([]remedy.Step, error) {
	groups := map[string][]taken{}
	var order []string
	for _, t := range p.out.taken {
		if t.es == nil {
			continue
		}
		text, err := json.Marshal(t.spec)
		if err != nil {
			return nil, errs.Newf(errs.Internal, "encoding an ExternalSecret: %w", err)
		}
		key := t.Name + " " + string(text)
		if t.es.Spec.SecretStoreRef.Kind != v1.KindClusterSecretStore {
			key = t.String()
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], t)
	}
	var out []remedy.Step
	for _, key := range order {
		one, err := p.begin(ctx, groups[key])
		if err != nil {
			return nil, err
		}
		if one != nil {
			out = append(out, *one)
		}
	}
	return out, nil
}

// begin is the step for those of a group that no run has begun, nil if there is none, or
// if what is there reaches them too. One for the others would be refused in their
// namespaces, where an ExternalSecret is that it did not make.
func (p *planning) begin(ctx context.Context, group []taken) (*remedy.Step, error) {
	var fresh []taken
	for _, t := range group {
		if !t.begun {
			fresh = append(fresh, t)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	if len(fresh) < len(group) { // one for all of them may be on its way through the namespaces
		all := step(group)
		if there, err := p.there(ctx, &all); there || err != nil && !errs.Is(err, errs.Exist) {
			return nil, err
		}
	}
	one := step(fresh)
	if there, err := p.there(ctx, &one); there || err != nil {
		return nil, err
	}
	return &one, nil
}

// there reports whether what s creates is there, and says the same.
func (a *Adopter) there(ctx context.Context, s *remedy.Step) (bool, error) {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(version)
	u.SetKind(s.Ref().Kind)
	err := a.Client.Get(ctx, types.NamespacedName{Namespace: s.Ref().Namespace, Name: s.Ref().Name}, u)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, explain(err, "reading "+s.Ref().String())
	case !says(u, s.Object):
		return false, errs.Newf(errs.Exist, "there is a %s already, for something else: rename it, or make the ExternalSecrets one by one (-in)", s.Ref())
	}
	return true, nil
}

// says reports whether an object that is there says what want does, and nothing that
// would give a Secret anything else.
func says(have *unstructured.Unstructured, want map[string]any) bool {
	asked, _ := plain(want["spec"]).(map[string]any)
	given, _ := have.Object["spec"].(map[string]any)
	if !within(asked, given) {
		return false
	}
	if spec, of := asked["externalSecretSpec"].(map[string]any); of {
		asked = spec
		given, _ = given["externalSecretSpec"].(map[string]any)
	}
	spec := v1.ExternalSecretSpec{}
	text, err := json.Marshal(given)
	return err == nil && json.Unmarshal(text, &spec) == nil && ours(&spec, asked)
}

// ours reports whether an ExternalSecret says what want does, and nothing that would
// give the Secret anything else: the API server has filled in defaults.
func ours(have *v1.ExternalSecretSpec, want map[string]any) bool {
	t := &have.Target
	return len(have.DataFrom) == 0 && t.Template == nil && t.Manifest == nil && !t.Immutable && within(plain(want), plain(have)) && exact(have, want)
}

// exact reports whether the entries of data say no more than want's: nothing but what the
// API server fills in.
func exact(have *v1.ExternalSecretSpec, want map[string]any) bool {
	asked := v1.ExternalSecretSpec{}
	text, err := json.Marshal(map[string]any{"data": want["data"]})
	if err != nil || json.Unmarshal(text, &asked) != nil {
		return false
	}
	return slices.EqualFunc(asked.Data, have.Data, func(a, b v1.ExternalSecretData) bool { return filled(a) == filled(b) })
}

// filled is an entry with the defaults of the API server.
func filled(d v1.ExternalSecretData) v1.ExternalSecretData {
	r := &d.RemoteRef
	r.MetadataPolicy = cmp.Or(r.MetadataPolicy, v1.MetadataNone)
	r.ConversionStrategy = cmp.Or(r.ConversionStrategy, v1.ConversionDefault)
	r.DecodingStrategy = cmp.Or(r.DecodingStrategy, v1.DecodingNone)
	return d
}

// plain is v as JSON has it.
func plain(v any) any {
	var out any
	if text, err := json.Marshal(v); err != nil || json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}

// within reports whether have says all that want says; lists are of one length.
func within(want, have any) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		for key := range w {
			ok = ok && within(w[key], h[key])
		}
		return ok
	case []any:
		h, ok := have.([]any)
		return ok && slices.EqualFunc(w, h, within)
	}
	return want == have
}

// step creates what reads the vault for Secrets of one name.
func step(group []taken) remedy.Step {
	first := group[0]
	if len(group) == 1 {
		return remedy.Step{Verb: remedy.Create, Why: "fills the Secret of this name, which stays as it is", Object: object(first.NamespacedName, first.spec)}
	}
	var spaces []any
	for _, t := range group {
		spaces = append(spaces, t.Namespace)
	}
	chosen := map[string]any{"matchExpressions": []any{map[string]any{"key": corev1.LabelMetadataName, "operator": "In", "values": spaces}}}
	return remedy.Step{Verb: remedy.Create, Why: fmt.Sprintf("one for the Secrets of this name in %d namespaces, which stay as they are", len(group)), Object: map[string]any{
		"apiVersion": version, "kind": "ClusterExternalSecret", "metadata": map[string]any{"name": first.Namespace + "-" + first.Name},
		"spec": map[string]any{"externalSecretName": first.Name, "namespaceSelectors": []any{chosen}, "externalSecretSpec": first.spec},
	}}
}
