package atrest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
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

// gone deletes them.
func (w *world) gone(ctx context.Context, namespace string) error {
	if _, err := w.etcd.Delete(ctx, "/registry/secrets/"+namespace+"/", clientv3.WithPrefix()); err != nil {
		return errs.Newf(errs.Unavailable, "deleting Secrets: %w", err)
	}
	return nil
}

// rewrite measures somebody else alone, the bare client, ours at both paces, and the
// bare client again, all beside somebody else.
func (w *world) rewrite(ctx context.Context) ([]figure.Figure, error) {
	if _, err := w.kube.CoreV1().Secrets("others").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "read"}}, metav1.CreateOptions{}); err != nil {
		return nil, errs.Newf(errs.Unavailable, "creating a Secret: %w", err)
	}
	var err error
	var at struct{ warm, quiet, first, gentle, full, second, quietAgain load }
	for _, one := range []struct {
		to   *load
		work func(context.Context) (load, error)
	}{
		{&at.warm, w.bare}, {&at.quiet, w.quiet}, {&at.first, w.bare},
		{&at.gentle, func(ctx context.Context) (load, error) { return w.ours(ctx, "gentle") }},
		{&at.full, func(ctx context.Context) (load, error) { return w.ours(ctx, "full") }},
		{&at.second, w.bare}, {&at.quietAgain, w.quiet},
	} {
		if *one.to, err = one.work(ctx); err != nil {
			return nil, err
		}
	}
	bare, quiet := (at.first.rate+at.second.rate)/2, (at.quiet.p99+at.quietAgain.p99)/2
	return []figure.Figure{
		figure.AtLeast(boundRewrite, "encryption-rewrite", at.gentle.rate, "objects/s", bare),
		figure.AtMost(boundOthers, "encryption-rewrite-others-p99", ms(at.gentle.p99), "ms", ms(quiet)),
		figure.AtLeast(boundRewrite, "encryption-rewrite-full", at.full.rate, "objects/s", bare),
		figure.AtMost(boundOthers, "encryption-rewrite-full-others-p99", ms(at.full.p99), "ms", ms(quiet)),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quiet is what somebody else sees, and what the cluster does, when nobody rewrites.
func (w *world) quiet(ctx context.Context) (load, error) {
	return w.under(ctx, "nobody rewrites", func(ctx context.Context) (int, time.Duration, error) {
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(15 * time.Second):
			return 0, 0, nil
		}
	})
}

// bare is a client that has the Secrets and updates each as it is.
func (w *world) bare(ctx context.Context) (load, error) {
	if err := w.inTheClear(ctx, "bare"); err != nil {
		return load{}, err
	}
	api := w.kube.CoreV1().Secrets("bare")
	list, err := api.List(ctx, metav1.ListOptions{})
	if err != nil {
		return load{}, errs.Newf(errs.Unavailable, "listing Secrets: %w", err)
	}
	if len(list.Items) != secrets {
		return load{}, errs.Newf(errs.Internal, "the API server has %d of %d Secrets", len(list.Items), secrets)
	}
	l, err := w.under(ctx, fmt.Sprintf("a bare client, %d at once", atOnce), func(ctx context.Context) (int, time.Duration, error) {
		before := ownTime()
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for i := range list.Items {
			group.Go(func() error {
				was := list.Items[i].ResourceVersion
				s, err := api.Update(inner, &list.Items[i], metav1.UpdateOptions{})
				if err == nil && s.ResourceVersion == was {
					return errs.Newf(errs.Internal, "Secret %s was not written", s.Name)
				}
				return err
			})
		}
		err := group.Wait()
		return secrets, ownTime() - before, err
	})
	if err != nil {
		return l, errs.Newf(errs.Unavailable, "updating Secrets: %w", err)
	}
	return l, w.gone(ctx, "bare")
}

// ours is the command, as people run it.
func (w *world) ours(ctx context.Context, pace string) (load, error) {
	if err := w.inTheClear(ctx, "ours"); err != nil {
		return load{}, err
	}
	l, err := w.under(ctx, "rewrite -pace="+pace, func(ctx context.Context) (int, time.Duration, error) {
		c := exec.CommandContext(ctx, w.Binary, "encryption", "rewrite", "-kubeconfig="+w.cluster.Kubeconfig(),
			"-by=ourselves", "-pace="+pace, "-parallel="+strconv.Itoa(atOnce), "-format=json")
		c.Env = append(os.Environ(), "KUBECONFIG=")
		var said strings.Builder
		c.Stderr = &said
		out, err := c.Output()
		if err != nil {
			return 0, 0, errs.Newf(errs.Unavailable, "rewriting Secrets: %w\n%s", err, said.String())
		}
		var r struct{ Done, Written, Refused int }
		if err := json.Unmarshal(out, &r); err != nil {
			return 0, 0, errs.Newf(errs.Internal, "reading what the command says: %w", err)
		}
		if r.Written < secrets || r.Refused > 0 {
			return 0, 0, errs.Newf(errs.Internal, "of %d Secrets %d were rewritten, %d refused", r.Done, r.Written, r.Refused)
		}
		return r.Done, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), nil
	})
	if err != nil {
		return l, err
	}
	return l, w.gone(ctx, "ours")
}
