package atrest

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/test/bench/figure"
)

// atOnce is how many requests the bare client makes, and ours at most.
const atOnce = 16

// inTheClear puts the Secrets of a namespace into etcd as an API server without
// encryption writes them.
func (w *world) inTheClear(ctx context.Context, namespace string) error {
	value := base64.StdEncoding.EncodeToString(make([]byte, 700))
	return w.put(ctx, secrets, func(i int) (string, string) {
		name := fmt.Sprintf("s%05d", i)
		return "/registry/secrets/" + namespace + "/" + name, fmt.Sprintf(
			`{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q,"namespace":%q,"uid":"00000000-0000-4000-8000-%012d","creationTimestamp":"2026-01-01T00:00:00Z"},"data":{"value":%q},"type":"Opaque"}`,
			name, namespace, i, value)
	})
}

// rewrite measures the bare client, ours while somebody else waits, and the bare
// client again.
func (w *world) rewrite(ctx context.Context) ([]figure.Figure, error) {
	first, err := w.bare(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.kube.CoreV1().Secrets("others").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "read"}}, metav1.CreateOptions{}); err != nil {
		return nil, errs.Newf(errs.Unavailable, "creating a Secret: %w", err)
	}
	quiet, cancel := context.WithTimeout(ctx, 10*time.Second)
	before, err := w.others(quiet)
	cancel()
	if err != nil {
		return nil, err
	}
	rate, during, err := w.ours(ctx)
	if err != nil {
		return nil, err
	}
	second, err := w.bare(ctx)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.AtLeast(boundRewrite, "encryption-rewrite", rate, "objects/s", (first+second)/2),
		figure.AtMost(boundOthers, "encryption-rewrite-others-p99", ms(during), "ms", ms(before)),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// bare is the rate of a client that has the Secrets and updates each as it is.
func (w *world) bare(ctx context.Context) (float64, error) {
	if err := w.inTheClear(ctx, "bare"); err != nil {
		return 0, err
	}
	api := w.kube.CoreV1().Secrets("bare")
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, errs.Newf(errs.Unavailable, "listing Secrets: %w", err)
	}
	if len(list.Items) != secrets {
		return 0, errs.Newf(errs.Internal, "the API server has %d of %d Secrets", len(list.Items), secrets)
	}
	began := time.Now()
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range list.Items {
		group.Go(func() error {
			_, err := api.Update(inner, &list.Items[i], metav1.UpdateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, errs.Newf(errs.Unavailable, "updating Secrets: %w", err)
	}
	rate := secrets / time.Since(began).Seconds()
	w.Say("  a bare client, %d at once: %.0f objects/s", atOnce, rate)
	_, err = w.etcd.Delete(ctx, "/registry/secrets/bare/", clientv3.WithPrefix())
	return rate, err
}

// ours is the rate of rewrite, and the p99 of somebody else meanwhile.
func (w *world) ours(ctx context.Context) (float64, time.Duration, error) {
	if err := w.inTheClear(ctx, "ours"); err != nil {
		return 0, 0, err
	}
	inner, stop := context.WithCancel(ctx)
	var p99 time.Duration
	var group errgroup.Group
	group.Go(func() (err error) {
		p99, err = w.others(inner)
		return err
	})
	began := time.Now()
	r, err := rewrite.Run(ctx, rewrite.Config{REST: w.config, Resources: []string{"secrets"}, Width: atOnce})
	took := time.Since(began)
	stop()
	if other := group.Wait(); err == nil {
		err = other
	}
	if err != nil {
		return 0, 0, err
	}
	if r.Written < secrets || r.Refused > 0 {
		return 0, 0, errs.Newf(errs.Internal, "of %d Secrets %d were rewritten, %d refused", r.Done, r.Written, r.Refused)
	}
	rate := float64(r.Done) / took.Seconds()
	w.Say("  rewrite: %.0f objects/s", rate)
	return rate, p99, nil
}

// others is the p99 of somebody who reads a Secret, again and again, until ctx ends.
func (w *world) others(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		_, err := w.kube.CoreV1().Secrets("others").Get(ctx, "read", metav1.GetOptions{})
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return 0, errs.Newf(errs.Unavailable, "reading a Secret: %w", err)
		}
		took = append(took, time.Since(began))
	}
	if len(took) == 0 {
		return 0, errs.New(errs.Internal, "nobody could read a Secret")
	}
	slices.Sort(took)
	w.Say("  others: %d reads, p99 %.1f ms", len(took), ms(took[len(took)*99/100]))
	return took[len(took)*99/100], nil
}
