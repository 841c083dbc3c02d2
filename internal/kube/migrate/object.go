package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// object judges one object, field by field, and keeps what moves need.
func (l *looker) object(kind string, u *unstructured.Unstructured) error {
	o := Object{Kind: kind, Namespace: u.GetNamespace(), Name: u.GetName(), Verdict: Fits}
	into := known(kind)
	if into == nil {
		o.worse(Refused, "there is no %s here: its Secrets stay as they are, and are not refreshed", kind)
		l.plan.Objects = append(l.plan.Objects, o)
		return nil
	}
	raw, err := json.Marshal(u.Object)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a %s: %w", kind, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		o.worse(Refused, "it cannot be read: %v", err)
		l.plan.Objects = append(l.plan.Objects, o)
		return nil
	}
	for _, field := range lost(u, into) {
		o.worse(Note, "%s is not known here: it is left out once deploy/crds is applied", field)
	}
	if n := len(u.GetFinalizers()); n > 0 {
		o.Says = append(o.Says, "finalizers: "+strings.Join(u.GetFinalizers(), ", "))
	}
	l.judge(&o, into)
	l.plan.Objects = append(l.plan.Objects, o)
	return nil
}

// known returns an empty object of a kind; nil when there is none here.
func known(kind string) any {
	switch kind {
	case v1.KindExternalSecret:
		return &v1.ExternalSecret{}
	case v1.KindSecretStore:
		return &v1.SecretStore{}
	case v1.KindClusterSecretStore:
		return &v1.ClusterSecretStore{}
	case "ClusterExternalSecret":
		return &v1.ClusterExternalSecret{}
	case "PushSecret":
		return &v1alpha1.PushSecret{}
	case "ClusterPushSecret":
		return &v1alpha1.ClusterPushSecret{}
	case generators.KindClusterGenerator:
		return &generators.ClusterGenerator{}
	}
	if g, ok := generators.New()[kind]; ok {
		return g
	}
	return nil
}

// lost are the fields of the spec of u that do not come back from ours, by path.
func lost(u *unstructured.Unstructured, ours any) []string {
	raw, err := json.Marshal(ours)
	var back map[string]any
	if err != nil || json.Unmarshal(raw, &back) != nil {
		return nil
	}
	var out []string
	missing("spec", u.Object["spec"], back["spec"], &out)
	slices.Sort(out)
	return slices.Compact(out)
}

// missing walks what was given beside what came back. Empty values may be left out.
func missing(path string, given, back any, out *[]string) {
	switch given := given.(type) {
	case map[string]any:
		object, _ := back.(map[string]any)
		for key, value := range given {
			if _, there := object[key]; !there && !empty(value) {
				*out = append(*out, path+"."+key)
				continue
			}
			missing(path+"."+key, value, object[key], out)
		}
	case []any:
		items, _ := back.([]any)
		for i, value := range given {
			if i < len(items) {
				missing(path+"[]", value, items[i], out)
			}
		}
	}
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case int64:
		return v == 0
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func (l *looker) judge(o *Object, object any) {
	switch object := object.(type) {
	case *v1.ExternalSecret:
		l.judgeSpec(o, &object.Spec)
		l.es = append(l.es, *object)
	case *v1.ClusterExternalSecret:
		l.judgeSpec(o, &object.Spec.ExternalSecretSpec)
		o.worse(Note, "it moves last, when the original is gone: until then the original keeps its ExternalSecrets")
	case *v1.SecretStore:
		l.judgeStore(o, object)
	case *v1.ClusterSecretStore:
		l.judgeStore(o, object)
	case *v1alpha1.PushSecret:
		l.pushes = append(l.pushes, *object)
		o.worse(Note, "it moves last, when the original is gone; what it pushed before is taken over as docs/push.md says")
		if object.Spec.Selector.GeneratorRef != nil {
			o.worse(Refused, "spec.selector.generatorRef is not supported yet")
		}
	case *v1alpha1.ClusterPushSecret:
		o.worse(Note, "it moves last, when the original is gone")
	case *generators.ClusterGenerator:
		l.judgeGenerator(o, object.Spec.Kind)
	case generators.Object:
		l.judgeGenerator(o, o.Kind)
	}
}

func (l *looker) judgeGenerator(o *Object, kind string) {
	if l.Generators[kind] == nil {
		o.worse(Refused, "what a %s makes cannot be made here yet (docs/generators.md lists what can)", kind)
	}
}

func (l *looker) judgeSpec(o *Object, spec *v1.ExternalSecretSpec) {
	if err := gather.OnlySecret(spec); err != nil {
		o.worse(Refused, "%v", err)
	}
	for i := range spec.DataFrom {
		if from := spec.DataFrom[i].SourceRef; from != nil && from.GeneratorRef != nil {
			l.judgeUse(o, spec, i)
		}
	}
}

// judgeUse says what becomes of what the generator of dataFrom[i] made.
func (l *looker) judgeUse(o *Object, spec *v1.ExternalSecretSpec, i int) {
	ref := spec.DataFrom[i].SourceRef.GeneratorRef
	if generate.Adoptable(l.Generators[ref.Kind], spec, i) {
		o.Says = append(o.Says, fmt.Sprintf("what %s %q drew stays until the refresh interval is over", ref.Kind, ref.Name))
		return
	}
	o.worse(Changes, "%s %q makes its credentials anew when it is taken over: the old ones stay valid as long as the original's GeneratorState does", ref.Kind, ref.Name)
}

func (l *looker) judgeStore(o *Object, store v1.Store) {
	l.stores[v1.KeyOf(store)] = store
	if before, moved := store.GetAnnotations()[AnnotationBefore]; moved && store.StoreSpec().Controller == l.Class {
		o.worse(Note, "it is moved; its class was %q", before)
	} else if c := store.StoreSpec().Controller; c != "" {
		o.Says = append(o.Says, "class "+c)
	}
	name, settings, err := store.StoreSpec().Provider.One()
	if err != nil {
		o.worse(Refused, "%v", err)
		return
	}
	p, ok := l.Providers[name]
	if !ok {
		o.worse(Refused, "spec.provider.%s: there is no such provider here (docs/stores.md lists them)", name)
		return
	}
	opened, err := p.Open(context.Background(), provider.Config{
		Scope: provider.ScopeOf(store), Settings: settings, Cluster: closed{}, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	switch {
	case err == nil:
		_ = opened.Close(context.Background()) // it has reached nothing
	case errors.Is(err, errClosed): // the settings are right as far as the first credential
	case errs.Is(err, errs.Denied):
		o.worse(Note, "its login: %v", err)
	default:
		o.worse(Refused, "%v", err)
	}
}

// errClosed is what the settings of a store come to that are right.
var errClosed = errs.New(errs.Unavailable, "credentials are not read for a plan")

// closed is a cluster in which nothing can be read.
type closed struct{}

func (closed) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.Secret{}, errClosed
}

func (closed) ConfigMapKey(context.Context, provider.Ref, string) (string, error) {
	return "", errClosed
}

func (closed) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, errClosed
}

func (closed) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, errClosed
}
