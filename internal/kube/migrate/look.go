package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Config is what a migration needs. Maker may be nil: then nothing is compared.
type Config struct {
	Client     client.Client // with the rights of who asks
	Class      string        // of Strongkeep's operator
	Providers  map[string]provider.Provider
	Generators map[string]generator.Kind
	// Maker makes what Secrets would be, to compare them with what they are.
	Maker *preview.Maker
	// Progress, if set, is told what is looked at.
	Progress func(text string)
}

// looker gathers a Plan.
type looker struct {
	Config
	plan   *Plan
	es     []v1.ExternalSecret
	stores map[v1.StoreKey]v1.Store
	pushes []v1alpha1.PushSecret
}

// Look examines a cluster. What may not be read is named in the plan and is no
// error; that the API server is away, or has none of the definitions, is one.
func Look(ctx context.Context, cfg Config) (*Plan, error) {
	l := &looker{Config: cfg, plan: &Plan{Class: cfg.Class}, stores: map[v1.StoreKey]v1.Store{}}
	if l.Progress == nil {
		l.Progress = func(string) {}
	}
	kinds, err := l.definitions(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if err := l.kind(ctx, k); err != nil {
			return nil, err
		}
	}
	l.installations(ctx)
	l.webhooks(ctx)
	l.namespaces(ctx)
	l.compare(ctx)
	l.moves()
	order(l.plan.Objects)
	return l.plan, ctx.Err()
}

func list(group, version, kind string) *unstructured.UnstructuredList {
	u := &unstructured.UnstructuredList{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind + "List"})
	return u
}

// unknown notes what could not be asked.
func (l *looker) unknown(what string, err error) {
	l.plan.Unknown = append(l.plan.Unknown, fmt.Sprintf("%s: %v", what, err))
}

// definition is the part of a CustomResourceDefinition that is looked at.
type definition struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Group string `json:"group"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Conversion struct {
			Strategy string `json:"strategy"`
		} `json:"conversion"`
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		StoredVersions []string `json:"storedVersions"`
	} `json:"status"`
}

func (l *looker) definitions(ctx context.Context) ([]schema.GroupVersionKind, error) {
	all := list("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
	if err := l.Client.List(ctx, all); err != nil {
		if !apierrors.IsForbidden(err) {
			return nil, err
		}
		l.unknown("definitions", err)
		return l.assumed(), nil
	}
	var kinds []schema.GroupVersionKind
	for i := range all.Items {
		var d definition
		if as(all.Items[i].Object, &d) != nil || d.Spec.Group != v1.Group && d.Spec.Group != generators.Group {
			continue
		}
		kinds = append(kinds, schema.GroupVersionKind{Group: d.Spec.Group, Version: l.define(&d), Kind: d.Spec.Names.Kind})
	}
	if len(kinds) == 0 {
		return nil, errs.New(errs.NotExist, "the cluster has no definition of external-secrets.io: there is nothing to take over; install Strongkeep as in docs/operator.md")
	}
	return kinds, nil
}

// assumed are the kinds there usually are.
func (l *looker) assumed() []schema.GroupVersionKind {
	kinds := []schema.GroupVersionKind{}
	for _, kind := range []string{v1.KindExternalSecret, v1.KindSecretStore, v1.KindClusterSecretStore, "ClusterExternalSecret"} {
		kinds = append(kinds, v1.GroupVersion().WithKind(kind))
	}
	return append(kinds, v1alpha1.GroupVersion().WithKind("PushSecret"), v1alpha1.GroupVersion().WithKind("ClusterPushSecret"))
}

// define notes what is to be said of a definition, and returns the version to read.
func (l *looker) define(d *definition) string {
	out := Definition{Name: d.Metadata.Name, Stored: d.Status.StoredVersions}
	version := ""
	for _, v := range d.Spec.Versions {
		if v.Served {
			out.Served = append(out.Served, v.Name)
			if version == "" || v.Name == "v1" {
				version = v.Name
			}
		}
	}
	out.Says = d.says(out.Served)
	l.plan.Definitions = append(l.plan.Definitions, out)
	return version
}

// says is what there is to know of a definition.
func (d *definition) says(served []string) (out []string) {
	if d.Spec.Conversion.Strategy == "Webhook" {
		out = append(out, "its versions are converted by the original's webhook: apply deploy/crds before the original goes")
	}
	if d.Spec.Group == v1.Group && !slices.Contains(served, "v1") && d.Spec.Names.Kind == v1.KindExternalSecret {
		out = append(out, "v1 is not served: apply deploy/crds, or bring the original to a release that serves it, before Strongkeep's operator runs beside it")
	}
	for _, v := range d.Status.StoredVersions {
		if !slices.Contains(served, v) {
			out = append(out, "objects may be stored as "+v+", which is not served: deploy/crds serves it again")
		}
	}
	if d.Metadata.Labels["app.kubernetes.io/managed-by"] == "Helm" && d.Metadata.Annotations["helm.sh/resource-policy"] != "keep" {
		out = append(out, "helm uninstall would delete it, and with it every object of the kind and the Secrets they own: see docs/migrate-external-secrets.md, Before the original goes")
	}
	return out
}

func as(from map[string]any, into any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// kind reads all objects of a kind.
func (l *looker) kind(ctx context.Context, kind schema.GroupVersionKind) error {
	if kind.Kind == generators.KindGeneratorState || kind.Version == "" {
		return nil
	}
	l.Progress("looking at " + kind.Kind)
	all := list(kind.Group, kind.Version, kind.Kind)
	switch err := l.Client.List(ctx, all); {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		l.unknown(kind.Kind, err)
		return nil
	case err != nil:
		return err
	}
	for i := range all.Items {
		if err := l.object(kind.Kind, &all.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// installations finds the original's Deployments.
func (l *looker) installations(ctx context.Context) {
	all := list("apps", "v1", "Deployment")
	if err := l.Client.List(ctx, all, client.MatchingLabels{"app.kubernetes.io/name": "external-secrets"}); err != nil {
		l.unknown("Deployments of the original", err)
		return
	}
	for i := range all.Items {
		var d struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}
		u := &all.Items[i]
		if as(u.Object, &d) != nil || len(d.Spec.Template.Spec.Containers) == 0 {
			continue
		}
		c := &d.Spec.Template.Spec.Containers[0]
		o := Original{Name: u.GetNamespace() + "/" + u.GetName(), Image: c.Image, Class: "default"}
		for n, arg := range c.Args {
			if class, ok := strings.CutPrefix(arg, "--controller-class="); ok {
				o.Class = class
			} else if arg == "--controller-class" && n+1 < len(c.Args) {
				o.Class = c.Args[n+1]
			}
		}
		if o.Class == l.Class {
			l.plan.Cautions = append(l.plan.Cautions, fmt.Sprintf("Deployment %s answers for class %q: choose another with -class", o.Name, o.Class))
		}
		l.plan.Originals = append(l.plan.Originals, o)
	}
}

// webhooks finds the original's admission webhooks, which refuse everything when
// they are left behind.
func (l *looker) webhooks(ctx context.Context) {
	all := list("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration")
	if err := l.Client.List(ctx, all); err != nil {
		l.unknown("ValidatingWebhookConfigurations", err)
		return
	}
	for i := range all.Items {
		var c struct {
			Webhooks []struct {
				Rules []struct {
					APIGroups []string `json:"apiGroups"`
				} `json:"rules"`
			} `json:"webhooks"`
		}
		if as(all.Items[i].Object, &c) != nil {
			continue
		}
		for _, w := range c.Webhooks {
			if slices.ContainsFunc(w.Rules, func(r struct {
				APIGroups []string `json:"apiGroups"`
			}) bool {
				return slices.Contains(r.APIGroups, v1.Group) || slices.Contains(r.APIGroups, generators.Group)
			}) {
				l.plan.Cautions = append(l.plan.Cautions, fmt.Sprintf("ValidatingWebhookConfiguration %s must go with the original: left behind, it refuses every change of these objects", all.Items[i].GetName()))
				break
			}
		}
	}
}

// cleanup is in the finalizers that the original puts on Namespaces.
const cleanup = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"

func (l *looker) namespaces(ctx context.Context) {
	all := &metav1.PartialObjectMetadataList{}
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := l.Client.List(ctx, all); err != nil {
		l.unknown("finalizers of Namespaces", err)
		return
	}
	for i := range all.Items {
		for _, f := range all.Items[i].Finalizers {
			if strings.HasPrefix(f, cleanup) {
				l.plan.Cautions = append(l.plan.Cautions, fmt.Sprintf("Namespace %s has the original's finalizer %s: once the original is gone nobody takes it off, and the namespace cannot be deleted", all.Items[i].Name, f))
			}
		}
	}
}
