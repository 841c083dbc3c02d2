package kubesync

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// bareNamespace is where the bare client works. Its store is of a class that no
// operator answers for.
const bareNamespace = "bare"

func (w *world) makeBare(ctx context.Context) error {
	provider, err := v1.NewProvider("fake", map[string]any{"data": []any{}})
	if err != nil {
		return err
	}
	return w.createAll(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: bareNamespace}},
		&v1.SecretStore{
			ObjectMeta: metav1.ObjectMeta{Namespace: bareNamespace, Name: "vault"},
			Spec:       v1.SecretStoreSpec{Controller: "nobody", Provider: provider},
		})
}

// bare is how long a client needs that knows everything beforehand and does
// nothing else, with as many requests at once as are of use.
type bare struct {
	objects time.Duration // to create the ExternalSecrets
	write   time.Duration // to create their Secrets and write their statuses
	update  time.Duration // to update these Secrets and write the statuses again
}

func (b bare) plus(c bare) bare {
	return bare{(b.objects + c.objects) / 2, (b.write + c.write) / 2, (b.update + c.update) / 2}
}

// bare measures a client that writes the Secrets of n ExternalSecrets, the same as
// the operator writes them, and the same statuses. It is run without an operator,
// and what it made is deleted.
func (w *world) bare(ctx context.Context, n int) (b bare, err error) {
	secrets := make([]*corev1.Secret, n)
	objects := make([]*v1.ExternalSecret, n)
	phase := func(took *time.Duration, f func(ctx context.Context, i int) error) {
		if err != nil {
			return
		}
		began := time.Now()
		err = inParallel(ctx, n, f)
		*took = time.Since(began)
	}
	phase(&b.objects, func(ctx context.Context, i int) error {
		objects[i] = externalSecret("app-"+strconv.Itoa(i), secretPath(i), 0)
		objects[i].Namespace = bareNamespace
		return w.createAll(ctx, objects[i])
	})
	own, cluster := rig.CPUTime(os.Getpid()), w.clusterTime()
	phase(&b.write, func(ctx context.Context, i int) error {
		secrets[i] = secretOf(objects[i], stored(i))
		if err := w.createAll(ctx, secrets[i]); err != nil {
			return err
		}
		return w.writeStatus(ctx, objects[i])
	})
	own, cluster = rig.CPUTime(os.Getpid())-own, w.clusterTime()-cluster
	phase(&b.update, func(ctx context.Context, i int) error {
		secrets[i].Data["password"] = []byte(value("new" + strconv.Itoa(i)))
		if err := w.kube.Update(ctx, secrets[i]); err != nil {
			return errs.Newf(errs.Unavailable, "updating Secret %s: %w", secrets[i].Name, err)
		}
		return w.writeStatus(ctx, objects[i])
	})
	if err != nil {
		return b, err
	}
	w.rig.Say("  a bare client, %d at once: %d Secrets and statuses in %.2f s, updated in %.2f s; their ExternalSecrets in %.2f s",
		writers, n, b.write.Seconds(), b.update.Seconds(), b.objects.Seconds())
	w.rig.Say("    of CPU the first took the client %.2f s, the cluster %.2f s", own.Seconds(), cluster.Seconds())
	return b, w.clean(ctx)
}

func (w *world) clean(ctx context.Context) error {
	for _, o := range []client.Object{&corev1.Secret{}, &v1.ExternalSecret{}} {
		err := w.kube.DeleteAllOf(ctx, o, client.InNamespace(bareNamespace))
		for apierrors.IsTimeout(err) && ctx.Err() == nil { // ten thousand take longer than one request may: it goes on where that one was
			err = w.kube.DeleteAllOf(ctx, o, client.InNamespace(bareNamespace))
		}
		if err != nil {
			return errs.Newf(errs.Unavailable, "deleting what the bare client made: %w", err)
		}
	}
	return nil
}

// secretOf is what the operator writes for es: the same labels, annotations and
// owner, and values of the same length.
func secretOf(es *v1.ExternalSecret, password string) *corev1.Secret {
	yes := true
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: es.Namespace, Name: es.Name,
			Labels: map[string]string{
				"reconcile.external-secrets.io/managed":    "true",
				"reconcile.external-secrets.io/created-by": strings.Repeat("0", 56),
			},
			Annotations: map[string]string{
				"reconcile.external-secrets.io/data-hash": "v1." + strings.Repeat("0", 66) + ".0",
				"strongkeep.io/versions":                  `{"` + strings.Repeat("0", 80) + `":"1"}`,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1.GroupVersion().String(), Kind: v1.KindExternalSecret, Name: es.Name, UID: es.UID,
				Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"password": []byte(password)},
	}
}

// writeStatus patches the status that the operator writes.
func (w *world) writeStatus(ctx context.Context, es *v1.ExternalSecret) error {
	before, now := es.DeepCopy(), metav1.Now()
	es.Status.RefreshTime = metav1.NewTime(es.Status.RefreshTime.Add(time.Second))
	if before.Status.SyncedResourceVersion == "" {
		es.Status = v1.ExternalSecretStatus{
			RefreshTime: now, SyncedResourceVersion: "1-" + strings.Repeat("0", 28),
			Conditions: v1.SetCondition(nil, v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonSecretSynced, Message: "secret synced"}, now),
		}
		es.Status.Binding.Name = es.Name
	}
	if err := w.kube.Status().Patch(ctx, es, client.MergeFrom(before)); err != nil {
		return errs.Newf(errs.Unavailable, "writing the status of %s: %w", es.Name, err)
	}
	return nil
}
