package content

import (
	"bytes"
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

func key(t *testing.T, b byte) target.Key {
	t.Helper()
	k, err := target.NewKey(bytes.Repeat([]byte{b}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func meta(ns, name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: ns, Name: name} }

func named(kind Kind, ns, name string) Object {
	return Object{kind, types.NamespacedName{Namespace: ns, Name: name}}
}

// counted returns a client that counts its reads.
func counted(reads *int, objects ...client.Object) client.Client {
	return fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, name client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			*reads++
			return c.Get(ctx, name, o, opts...)
		},
	}).Build()
}

func TestDigestsAreOfDataAndPlaceOnly(t *testing.T) {
	data := map[string][]byte{"a": []byte("canary-value"), "b": []byte("y")}
	text := map[string]string{"a": "canary-value", "b": "y"}
	var reads int
	c := counted(&reads,
		&corev1.Secret{ObjectMeta: meta("n", "x"), Data: data},
		&corev1.Secret{ObjectMeta: meta("n", "other"), Data: data},
		&corev1.Secret{ObjectMeta: meta("m", "x"), Data: data},
		&corev1.ConfigMap{ObjectMeta: meta("n", "x"), Data: text},
		&corev1.ConfigMap{ObjectMeta: meta("n", "binary"), Data: map[string]string{"a": "canary-value"}, BinaryData: map[string][]byte{"b": []byte("y")}},
	)
	d := New(c, key(t, 'k'))
	all := map[string]Object{}
	for _, o := range []Object{named(Secret, "n", "x"), named(Secret, "n", "other"), named(Secret, "m", "x"), named(ConfigMap, "n", "x"), named(ConfigMap, "n", "binary")} {
		digest, err := d.Of(t.Context(), o, "")
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := all[digest]; ok {
			t.Errorf("%v and %v have the digest %s", o, other, digest)
		}
		if strings.ContainsAny(digest, ",=") || strings.Contains(digest, "canary") || len(digest) < 20 {
			t.Errorf("digest %q", digest)
		}
		all[digest] = o
	}
	other, err := New(c, key(t, 'l')).Of(t.Context(), named(Secret, "n", "x"), "")
	if err != nil || all[other] != (Object{}) {
		t.Errorf("another key gives the same digest (%v): it is not keyed", err)
	}
	var s corev1.Secret
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "n", Name: "x"}, &s); err != nil {
		t.Fatal(err)
	}
	s.Labels = map[string]string{"new": "label"}
	if err := c.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if same, err := d.Of(t.Context(), named(Secret, "n", "x"), ""); err != nil || all[same] != named(Secret, "n", "x") {
		t.Errorf("a label changes the digest (%v)", err)
	}
}

func TestAVersionIsReadOnce(t *testing.T) {
	var reads int
	c := counted(&reads, &corev1.Secret{ObjectMeta: meta("n", "x"), Data: map[string][]byte{"a": []byte("1")}})
	d, o := New(c, key(t, 'k')), named(Secret, "n", "x")
	read := func(version string, want int) string {
		t.Helper()
		digest, err := d.Of(t.Context(), o, version)
		if err != nil || reads != want {
			t.Fatalf("%d reads, want %d (%v)", reads, want, err)
		}
		return digest
	}
	first := read("999", 1) // the fake's is 999
	if read("999", 1) != first {
		t.Error("the digest kept is another")
	}
	read("", 2)
	if err := c.Update(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "x", ResourceVersion: "999"}, Data: map[string][]byte{"a": []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	if read("1000", 3) == first {
		t.Error("other content, same digest")
	}
	d.Forget(o)
	read("1000", 4)
	if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: meta("n", "x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Of(t.Context(), o, "1001"); errs.KindOf(err) != errs.NotExist {
		t.Errorf("%v, want NotExist", err)
	}
	if len(d.seen) != 0 {
		t.Error("a deleted object is remembered")
	}
	if o.Entry() != "secret/x" {
		t.Error(o.Entry())
	}
}
