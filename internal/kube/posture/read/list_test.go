package read

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
)

// names lists objects of pages; it forgets where it was as often as expired says.
func names(pages [][]string, expired *int) kind[string, string] {
	return kind[string, string]{
		resource: "things", record: all(func(s *string) string { return *s }),
		list: func(_ context.Context, _ string, o metav1.ListOptions) ([]string, string, error) {
			n := 0
			if o.Continue != "" {
				if *expired > 0 {
					*expired--
					return nil, "", apierrors.NewResourceExpired("too old")
				}
				_, _ = fmt.Sscan(o.Continue, &n)
			}
			next := ""
			if n+1 < len(pages) {
				next = fmt.Sprint(n + 1)
			}
			return bytesOf(pages[n]), next, nil
		},
	}
}

// bytesOf is a copy: whoever reads a page may change it.
func bytesOf(page []string) []string { return append([]string(nil), page...) }

// An API server that forgets where a list was is asked from the beginning, and nothing is
// taken twice; one that forgets each time is given up.
func TestExpiredContinue(t *testing.T) {
	for expired, want := range map[int]int{0: 3, 1: 3, 2: 3, 3: -1} {
		k := names([][]string{{"a"}, {"b"}, {"c"}}, &expired)
		got, err := k.in(t.Context(), "")
		if want < 0 && !apierrors.IsResourceExpired(err) || want >= 0 && (err != nil || len(got) != want) {
			t.Errorf("%v %v, want %d", got, err, want)
		}
	}
}

// Records are in the order of their objects, however many work on them.
func TestRecordsInOrder(t *testing.T) {
	for _, n := range []int{0, 1, few - 1, few, 10 * few, 1000} {
		list := make([]int, n)
		for i := range list {
			list[i] = i + 1
		}
		got, err := records(list, some(func(i *int) (int, bool) { return *i, *i%3 != 0 }))
		if err != nil {
			t.Fatal(err)
		}
		if want := n - n/3; len(got) != want {
			t.Errorf("%d of %d, want %d", len(got), n, want)
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("%d behind %d", got[i], got[i-1])
			}
		}
	}
}

// page500 are Secrets as clusters have them: passwords, URLs, certificates, configurations.
func page500() *corev1.SecretList {
	list := &corev1.SecretList{}
	for i := range page {
		random := func(what string) string {
			h := sha256.Sum256([]byte(fmt.Sprint(what, i)))
			return hex.EncodeToString(h[:12])
		}
		s := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("secret-", i), Namespace: fmt.Sprint("ns-", i%20), UID: "u", Labels: map[string]string{"app.kubernetes.io/name": "shop"}}}
		s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "helm", Operation: "Update", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{}}}
		_ = s.ManagedFields[0].FieldsV1.UnmarshalJSON([]byte(`{"f:data":{".":{},"f:password":{}},"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/name":{}}},"f:type":{}}`))
		switch i % 4 {
		case 0:
			s.Data = map[string][]byte{"username": []byte("shop"), "password": []byte(random("p"))}
		case 1:
			s.Data = map[string][]byte{"DATABASE_URL": []byte("postgres://shop:" + random("p") + "@db.example:5432/shop?sslmode=require"), "API_KEY": []byte(random("k"))}
		case 2:
			s.Type = corev1.SecretTypeTLS
			s.Data = map[string][]byte{"tls.crt": bytes.Repeat([]byte("QUJDREVGR0g"), 150), "tls.key": []byte("-----BEGIN PRIVATE KEY-----\n" + random("k") + "\n-----END PRIVATE KEY-----\n")}
		case 3:
			s.Data = map[string][]byte{"application.yaml": []byte("spring:\n  datasource:\n    url: jdbc:postgresql://db:5432/shop\n    username: shop\n    password: " + random("p") + "\nlogging:\n  level: info\n")}
		}
		list.Items = append(list.Items, s)
	}
	return list
}

// BenchmarkSecrets is what a page of Secrets costs beyond being listed: decoding is what
// a bare list does, records is what is done on top.
func BenchmarkSecrets(b *testing.B) {
	raw, err := page500().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	k, err := fingerprint.NewKey(bytes.Repeat([]byte{1}, fingerprint.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	m := record.Maker{Key: k}
	decode := func(b *testing.B) *corev1.SecretList {
		list := &corev1.SecretList{}
		if err := list.Unmarshal(raw); err != nil {
			b.Fatal(err)
		}
		return list
	}
	b.Run("decoding", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = decode(b)
		}
	})
	b.Run("records", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			list := decode(b)
			b.StartTimer()
			if got, err := records(list.Items, all(m.Secret)); err != nil || len(got) != page || len(got[0].Values) == 0 {
				b.Fatal(len(got), err)
			}
		}
	})
}
