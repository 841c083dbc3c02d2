package insight

import (
	"context"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// What the bare client does as the snapshot does: objects for a page, and lists at once.
const (
	page   = 500
	atOnce = 4
)

// list lists what a snapshot reads of this cluster and drops it, and returns how many
// objects there were. Each list is decoded, in the encoding that is the cheapest.
func list(ctx context.Context, config *rest.Config) (int, error) {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	core, apps, rbac := kube.CoreV1(), kube.AppsV1(), kube.RbacV1()
	steps := []func(context.Context) (int, error){
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(core.Secrets("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(rbac.ClusterRoles().List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(rbac.Roles("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(rbac.ClusterRoleBindings().List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(rbac.RoleBindings("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(apps.Deployments("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(core.ConfigMaps("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(core.Pods("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(core.ServiceAccounts("").List(ctx, o))
		}),
		pages(func(ctx context.Context, o metav1.ListOptions) (listed, error) {
			return counted(core.Namespaces().List(ctx, o))
		}),
	}
	counts := make([]int, len(steps))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, step := range steps {
		g.Go(func() (err error) {
			counts[i], err = step(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, errs.Newf(errs.Unavailable, "listing with the bare client: %w", err)
	}
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum, nil
}

// listed is a page: how many objects it has, and where it goes on.
type listed struct {
	n    int
	next string
}

// counted is what a list came to.
func counted[L interface {
	runtime.Object
	metav1.ListInterface
}](l L, err error) (listed, error) {
	if err != nil {
		return listed{}, err
	}
	return listed{meta.LenList(l), l.GetContinue()}, nil
}

// pages lists page by page.
func pages(next func(context.Context, metav1.ListOptions) (listed, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		n := 0
		for token := ""; ; {
			got, err := next(ctx, metav1.ListOptions{Limit: page, Continue: token})
			if err != nil {
				return 0, err
			}
			if n += got.n; got.next == "" {
				return n, nil
			}
			token = got.next
		}
	}
}
