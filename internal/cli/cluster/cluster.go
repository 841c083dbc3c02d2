package cluster

import (
	"errors"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	push "github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Flags are how people name a cluster and a namespace in it.
type Flags struct {
	Kubeconfig, Context string
	Namespace           string // of Kubernetes; the context's when empty
	All                 bool   // every namespace
}

// Add adds the flags. -namespace is the vault's, hence the long name.
func (f *Flags) Add(to *pflag.FlagSet) {
	to.StringVar(&f.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config, or the pod's own)")
	to.StringVar(&f.Context, "context", "", "context of the kubeconfig; its current one when not given")
	to.StringVarP(&f.Namespace, "kube-namespace", "n", "", "namespace of Kubernetes; the context's when not given")
}

// AddAll adds -A as well.
func (f *Flags) AddAll(to *pflag.FlagSet) {
	f.Add(to)
	to.BoolVarP(&f.All, "all-namespaces", "A", false, "every namespace")
}

// Cluster is one cluster, reached with the rights of who asks.
type Cluster struct {
	client.WithWatch
	// Namespace to work in; never empty.
	Namespace string
}

// Connect makes the client. It reaches nothing yet.
func (f *Flags) Connect(env session.Env) (*Cluster, error) {
	cfg, namespace, err := f.Rest(env)
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1 // the API server's priority and fairness is the better judge
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, external.AddToScheme, push.AddToScheme, generators.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, Explain(err, "the API server at "+cfg.Host)
	}
	return &Cluster{c, session.First(f.Namespace, namespace, "default")}, nil
}

// Rest returns how to reach the cluster, and the namespace of the context, "" if it
// has none.
func (f *Flags) Rest(env session.Env) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.Precedence = nil
	if from := env.Getenv("KUBECONFIG"); from != "" {
		rules.Precedence = filepath.SplitList(from)
	} else if home := env.Getenv("HOME"); home != "" {
		rules.Precedence = []string{home + "/.kube/config"}
	}
	rules.ExplicitPath = f.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.Context})
	cfg, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errs.Newf(errs.Invalid, "no cluster is named%s: set KUBECONFIG, or give -kubeconfig=FILE", missing(rules.Precedence))
	}
	if err != nil {
		return nil, "", f.unread(err, loader, missing(rules.Precedence))
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", errs.Newf(errs.Invalid, "reading the kubeconfig: %w", err)
	}
	return cfg, namespace, nil
}

// missing says which of the files that were named are not there, if none is.
func missing(files []string) string {
	for _, name := range files {
		if _, err := os.Stat(name); err == nil || name == "" {
			return ""
		}
	}
	if len(files) == 0 {
		return ""
	}
	return ", for there is no " + strings.Join(files, " and no ")
}

// unread says why no cluster could be taken from a kubeconfig, and which contexts
// it has if another than those was named. absent is what missing says.
func (f *Flags) unread(err error, loader clientcmd.ClientConfig, absent string) error {
	raw, unreadable := loader.RawConfig()
	if _, has := raw.Contexts[f.Context]; unreadable != nil || f.Context == "" || has {
		return errs.Newf(errs.Invalid, "reading the kubeconfig: %w", err)
	}
	names := slices.Sorted(maps.Keys(raw.Contexts))
	if len(names) == 0 {
		return errs.Newf(errs.Invalid, "there is no context %q, and no other%s: set KUBECONFIG, or give -kubeconfig=FILE", f.Context, absent)
	}
	return errs.Newf(errs.Invalid, "the kubeconfig has no context %q; it has: %s", f.Context, strings.Join(names, ", "))
}

// Name takes NAME or NAMESPACE/NAME.
func (c *Cluster) Name(given string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(given, "/")
	if !ok {
		namespace, name = c.Namespace, given
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, errs.Newf(errs.Invalid, "%q is neither NAME nor NAMESPACE/NAME", given)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// In returns the option that limits a list to the namespaces asked for.
func (c *Cluster) In(f *Flags) client.ListOption {
	if f.All {
		return client.InNamespace("")
	}
	return client.InNamespace(c.Namespace)
}

// ExplainCreate is Explain for what was to be made in a namespace: nothing is
// missing then but that.
func ExplainCreate(err error, what, namespace string) error {
	if apierrors.IsNotFound(err) {
		return errs.Newf(errs.NotExist, "creating %s: there is no namespace %s: say which with -n", what, namespace)
	}
	return Explain(err, "creating "+what+" in namespace "+namespace)
}

// Explain makes of an API error one that says what to do. what was asked for, such
// as `Rotation "shop/db"`.
func Explain(err error, what string) error {
	var status apierrors.APIStatus
	var dial *net.OpError
	var reached *url.Error
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err):
		return errs.Newf(errs.Unsupported, "%s: this cluster does not know the kind: install the definitions (kubectl apply --server-side -f deploy/crds), or name another cluster with -context", what)
	case apierrors.IsNotFound(err):
		return errs.Newf(errs.NotExist, "%s does not exist", what)
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "%s: %w: ask for a role with this right (docs/cli.md, Rights in the cluster)", what, err)
	case apierrors.IsUnauthorized(err):
		return errs.Newf(errs.Unauthenticated, "%s: the API server does not know who asks: log in to the cluster anew", what)
	case apierrors.IsConflict(err):
		return errs.Newf(errs.Conflict, "%s changed meanwhile: try again", what)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return errs.Newf(errs.Invalid, "%s: %w", what, err)
	case errors.As(err, &dial), errors.As(err, &reached), apierrors.IsTimeout(err), apierrors.IsServiceUnavailable(err):
		return errs.Newf(errs.Unavailable, "%s: reaching the API server: %w; is this the right -context?", what, err)
	case errors.As(err, &status):
		return errs.Newf(errs.Unavailable, "%s: %w", what, err)
	}
	return err
}
