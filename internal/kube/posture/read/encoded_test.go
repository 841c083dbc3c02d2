package read

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// sent is a list as an API server sends it, in protobuf.
func sent(t testing.TB, list runtime.Object) []byte {
	t.Helper()
	kinds, _, err := scheme.Scheme.ObjectKinds(list)
	if err != nil {
		t.Fatal(err)
	}
	list.GetObjectKind().SetGroupVersionKind(kinds[0])
	var out bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(list, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read500 lists Secrets of a server that answers so, and returns their names.
func read500(t *testing.T, answer http.HandlerFunc) ([]string, snapshot.Gap, error) {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	l := &live{out: &snapshot.Snapshot{Coverage: snapshot.Coverage{}}, client: client}
	err = builtin(l, client.CoreV1().RESTClient(), kind[corev1.Secret, string]{
		resource: "secrets", global: true, record: all(func(o *corev1.Secret) string { return o.Namespace + "/" + o.Name + "=" + string(o.Data["password"]) }),
		keep: func(_ *snapshot.Snapshot, all []string) { names = all },
	})(t.Context())
	return names, l.out.Coverage["secrets"], err
}

// pagesOf answers with lists, one after the other, by encode.
func pagesOf(t *testing.T, encode func(*corev1.SecretList) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list := page500()
		next, limit := r.URL.Query().Get("continue"), r.URL.Query().Get("limit")
		if want := map[string]string{"": "64", "more": "256"}[next]; limit != want {
			t.Errorf("it asks for %s", r.URL)
		}
		switch next {
		case "":
			list.Continue = "more"
		case "more":
			list.Items = list.Items[:3]
		default:
			t.Errorf("it goes on with %q", next)
		}
		_, _ = w.Write(encode(list))
	}
}

// What an API server sends in protobuf, and one that knows only JSON in that, is read the
// same, in order, and over pages.
func TestEncodings(t *testing.T) {
	want, gap, err := read500(t, pagesOf(t, func(list *corev1.SecretList) []byte { return sent(t, list) }))
	if err != nil || gap.Reason != "" || len(want) != 503 {
		t.Fatalf("%d Secrets, %v, %v", len(want), gap, err)
	}
	for i, s := range append(page500().Items, page500().Items[:3]...) {
		if one := s.Namespace + "/" + s.Name + "=" + string(s.Data["password"]); want[i] != one {
			t.Fatalf("%d is %s, not %s", i, want[i], one)
		}
	}
	got, _, err := read500(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		pagesOf(t, func(list *corev1.SecretList) []byte {
			list.APIVersion, list.Kind = "v1", "SecretList"
			raw, err := json.Marshal(list)
			if err != nil {
				t.Error(err)
			}
			return raw
		})(w, r)
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("in JSON: %d Secrets, %v", len(got), err)
	}
}

// What is cut off, or is no list, is an error, and never fewer objects.
func TestCutOff(t *testing.T) {
	whole := sent(t, page500())
	broken := page500()
	broken.Items = broken.Items[:1]
	inside := sent(t, broken)
	// The Secret's first field says that it is longer than the Secret.
	at := bytes.Index(inside, []byte("secret-0")) - 3
	inside[at] = 0xff
	for name, body := range map[string][]byte{
		"half": whole[:len(whole)/2], "all but a byte": whole[:len(whole)-1], "only the beginning": whole[:4], "inside an object": inside,
		"JSON": []byte(`{"kind":"SecretList","apiVersion":"v1","items":[{`), "another kind": []byte(`{"kind":"Unknown","apiVersion":"x/v9"}`), "HTML": []byte("<html></html>"),
	} {
		names, _, err := read500(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		if err == nil {
			t.Errorf("%s: %d Secrets and no error", name, len(names))
		}
	}
}

// What is a list of something else, or says that all is well and lists nothing, is no list of Secrets
// without content.
func TestOtherLists(t *testing.T) {
	names := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}, Items: []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "db"}}}}
	raw, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"names": raw, "ConfigMaps": sent(t, &corev1.ConfigMapList{Items: []corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Name: "db"}}}}),
		"one Secret": sent(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db"}}), "well": []byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}`),
	} {
		got, _, err := read500(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		if err == nil {
			t.Errorf("%s: %d Secrets and no error", name, len(got))
		}
	}
}

// A server that goes on with the same page is not followed for ever.
func TestSamePage(t *testing.T) {
	asked := 0
	_, _, err := read500(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		list := page500()
		list.Continue = "again"
		_, _ = w.Write(sent(t, list))
	})
	if err == nil || asked != 2 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

// Pages have fewer objects where they are large, and more where they are not.
func TestFitting(t *testing.T) {
	k := kind[encoded, string]{size: func(raw *encoded) int { return len(*raw) }}
	limit, some := k.first(), make(encoded, 8<<20)
	for i, page := range []struct {
		objects, bytes int
		want           int64
	}{{64, 1000, 256}, {256, 1000, 500}, {500, 1 << 20, 8}, {8, 8 << 20, 1}, {1, 1 << 20, 4}, {0, 0, 4}, {4, 10, 16}} {
		items := make([]encoded, page.objects)
		for j := range items {
			items[j] = some[:page.bytes]
		}
		if limit = k.fitting(limit, items); limit != page.want {
			t.Errorf("page %d: the next one may have %d, want %d", i, limit, page.want)
		}
	}
	if k.size = nil; k.first() != 500 || k.fitting(500, make([]encoded, 3)) != 500 {
		t.Error("what has no known size is asked for in other pages")
	}
}

// What an API server refuses is told as by other clients.
func TestRefused(t *testing.T) {
	status := func(code int, reason metav1.StatusReason) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason})
		}
	}
	if _, gap, err := read500(t, status(403, metav1.StatusReasonForbidden)); err != nil || gap.Reason == "" {
		t.Errorf("forbidden: %v, %v", gap, err)
	}
	if _, gap, err := read500(t, status(404, metav1.StatusReasonNotFound)); err != nil || gap.Reason == "" {
		t.Errorf("not served: %v, %v", gap, err)
	}
	if _, _, err := read500(t, status(410, metav1.StatusReasonExpired)); !apierrors.IsResourceExpired(err) {
		t.Errorf("expired: %v", err)
	}
	if _, _, err := read500(t, status(500, metav1.StatusReasonInternalError)); err == nil {
		t.Error("an error inside the API server is none")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pageOf(client.CoreV1().RESTClient(), "secrets", "SecretList")(ctx, "", metav1.ListOptions{}); err == nil {
		t.Error("nothing was asked, and nothing is wrong")
	}
}

// FuzzSplit cuts up anything as what Kubernetes' own decoder makes of it.
func FuzzSplit(f *testing.F) {
	list := page500()
	list.Items, list.Continue = list.Items[:3], "more"
	f.Add(sent(f, list))
	f.Add(sent(f, &corev1.SecretList{}))
	f.Add([]byte("k8s\x00"))
	f.Add([]byte(`{"kind":"SecretList","apiVersion":"v1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !bytes.HasPrefix(body, magic) {
			_, _, _ = inProtobuf(body)
			return
		}
		var around runtime.Unknown
		var want corev1.SecretList
		expected := around.Unmarshal(body[len(magic):])
		if expected == nil {
			expected = want.Unmarshal(around.Raw)
		}
		if expected != nil || len(around.Raw) == 0 {
			return // what is wrong within an object is told when a record is made of it
		}
		raw, _, err := inProtobuf(body)
		if err != nil {
			t.Fatalf("Kubernetes decodes it: %v", err)
		}
		objects, next, err := split(raw)
		if err != nil || len(objects) != len(want.Items) || next != want.Continue {
			t.Fatalf("%d objects, %q, %v; Kubernetes has %d, %q", len(objects), next, err, len(want.Items), want.Continue)
		}
		for i := range objects {
			var one corev1.Secret
			if err := one.Unmarshal(objects[i]); err != nil || one.Name != want.Items[i].Name {
				t.Fatalf("%d: %v", i, err)
			}
		}
	})
}
