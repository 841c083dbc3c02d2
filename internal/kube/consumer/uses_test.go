package consumer

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func podSpec(t testing.TB, text string) *corev1.PodSpec {
	t.Helper()
	spec := &corev1.PodSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestUses(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []Use
	}{
		"nothing": {"containers: [{name: c, env: [{name: A, value: x}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]", nil},
		"env":     {"containers: [{name: c, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]", []Use{{Kind: UseEnv, Secret: "s", Container: "c", Where: "A", Key: "k"}}},
		"envFrom": {"containers: [{name: c, envFrom: [{prefix: P_, secretRef: {name: s}}, {configMapRef: {name: m}}]}]", []Use{{Kind: UseEnvFrom, Secret: "s", Container: "c", Where: "P_"}}},
		"optional": {"volumes: [{name: v, secret: {secretName: s, optional: true}}, {name: w, projected: {sources: [{secret: {name: s, optional: true}}]}}]\ncontainers: [{name: c, envFrom: [{secretRef: {name: s, optional: true}}], env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}]",
			[]Use{{Kind: UseEnvFrom, Secret: "s", Container: "c", Optional: true}, {Kind: UseEnv, Secret: "s", Container: "c", Where: "A", Key: "k", Optional: true},
				{Kind: UseVolume, Secret: "s", Volume: "v", Optional: true}, {Kind: UseProjected, Secret: "s", Volume: "w", Optional: true}}},
		"volume": {"volumes: [{name: v, secret: {secretName: s}}]\ncontainers: [{name: c, volumeMounts: [{name: v, mountPath: /m}]}]",
			[]Use{{Kind: UseVolume, Secret: "s", Container: "c", Where: "/m", Volume: "v"}}},
		"items": {"volumes: [{name: v, secret: {secretName: s, items: [{key: k, path: p/q}]}}]\ncontainers: [{name: c, volumeMounts: [{name: v, mountPath: /m}]}]",
			[]Use{{Kind: UseVolume, Secret: "s", Container: "c", Where: "/m", Volume: "v", Items: map[string]string{"k": "p/q"}}}},
		"projected": {"volumes: [{name: v, projected: {sources: [{secret: {name: s}}, {configMap: {name: m}}, {secret: {name: r, items: [{key: a, path: b}]}}, {serviceAccountToken: {path: t}}]}}]\ncontainers: [{name: c, volumeMounts: [{name: v, mountPath: /m}]}]",
			[]Use{{Kind: UseProjected, Secret: "s", Container: "c", Where: "/m", Volume: "v"}, {Kind: UseProjected, Secret: "r", Container: "c", Where: "/m", Volume: "v", Items: map[string]string{"a": "b"}}}},
		"subPath": {"volumes: [{name: v, secret: {secretName: s}}]\ncontainers: [{name: c, volumeMounts: [{name: v, mountPath: /m, subPath: k}, {name: v, mountPath: /n, subPathExpr: $(X)}, {name: v, mountPath: /o}]}]",
			[]Use{{Kind: UseSubPath, Secret: "s", Container: "c", Where: "/m", Volume: "v"}, {Kind: UseSubPath, Secret: "s", Container: "c", Where: "/n", Volume: "v"}, {Kind: UseVolume, Secret: "s", Container: "c", Where: "/o", Volume: "v"}}},
		"a subPath of a projected volume": {"volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]\ncontainers: [{name: c, volumeMounts: [{name: v, mountPath: /m, subPath: k}]}]",
			[]Use{{Kind: UseSubPath, Secret: "s", Container: "c", Where: "/m", Volume: "v"}}},
		"a volume nobody mounts": {"volumes: [{name: v, secret: {secretName: s}}]\ncontainers: [{name: c}]", []Use{{Kind: UseVolume, Secret: "s", Volume: "v"}}},
		"init, sidecar, ephemeral": {`initContainers: [{name: i, envFrom: [{secretRef: {name: s}}]}, {name: side, restartPolicy: Always, envFrom: [{secretRef: {name: s}}]}]
ephemeralContainers: [{name: e, envFrom: [{secretRef: {name: s}}]}]`,
			[]Use{{Kind: UseEnvFrom, Secret: "s", Container: "i", Init: true}, {Kind: UseEnvFrom, Secret: "s", Container: "side"}, {Kind: UseEnvFrom, Secret: "s", Container: "e"}}},
		"image pull": {"imagePullSecrets: [{name: s}, {}]\ncontainers: [{name: c}]", []Use{{Kind: UseImagePull, Secret: "s"}}},
		"CSI":        {"volumes: [{name: v, csi: {driver: d, nodePublishSecretRef: {name: s}}}]", []Use{{Kind: UseCSI, Secret: "s", Volume: "v"}}},
		"storage":    {"volumes: [{name: v, iscsi: {targetPortal: t, iqn: i, lun: 0, secretRef: {name: s}}}]", []Use{{Kind: UseStorage, Secret: "s", Volume: "v"}}},
	} {
		if got := Uses(podSpec(t, c.spec)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, c.want)
		}
	}
}

func TestConfigMapUses(t *testing.T) {
	spec := podSpec(t, `volumes: [{name: v, configMap: {name: a}}, {name: w, projected: {sources: [{configMap: {name: b}}, {secret: {name: s}}]}}]
containers: [{name: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: d, key: k}}}], envFrom: [{configMapRef: {name: e}}], volumeMounts: [{name: v, mountPath: /m, subPath: k}, {name: w, mountPath: /n}]}]`)
	var got []string
	_, configMaps := AllUses(spec)
	for _, u := range configMaps {
		got = append(got, string(u.Kind)+" "+u.Secret)
	}
	if want := []string{"envFrom e", "env d", "subPath a", "projected b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// reference is a way to name a Secret that the type of PodSpec has: the fields
// to go through, and the one to set.
type reference struct{ path []reflect.StructField }

func (r reference) String() string {
	var names []string
	for _, f := range r.path {
		names = append(names, f.Name)
	}
	return strings.Join(names, ".")
}

// references walks a type for every field by which it can name a Secret.
func references(t reflect.Type, path []reflect.StructField, depth int) []reference {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || depth > 12 || t.PkgPath() != "k8s.io/api/core/v1" {
		return nil
	}
	var out []reference
	for i := range t.NumField() {
		f := t.Field(i)
		to := append(slices.Clone(path), f)
		if f.Type.Kind() == reflect.String && namesSecret(to) {
			out = append(out, reference{to})
		}
		out = append(out, references(f.Type, to, depth+1)...)
	}
	return out
}

// namesSecret reports whether the string at the end of path names a Secret: by
// its own name, or because what holds it is a reference to one.
func namesSecret(path []reflect.StructField) bool {
	last := path[len(path)-1].Name
	if strings.Contains(last, "Secret") && strings.HasSuffix(last, "Name") {
		return true
	}
	if last != "Name" {
		return false
	}
	for _, f := range path[max(0, len(path)-3) : len(path)-1] {
		if strings.Contains(f.Name, "Secret") || strings.Contains(f.Type.String(), "Secret") {
			return true
		}
	}
	return false
}

// set makes a PodSpec in which only r names a Secret.
func (r reference) set(name string) *corev1.PodSpec {
	spec := &corev1.PodSpec{}
	v := reflect.ValueOf(spec).Elem()
	for _, f := range r.path {
		v = v.FieldByIndex(f.Index)
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
			if v.Kind() == reflect.Pointer {
				v.Set(reflect.New(v.Type().Elem()))
				v = v.Elem()
				continue
			}
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v = v.Index(0)
		}
	}
	v.SetString(name)
	return spec
}

// Every field of PodSpec by which Kubernetes lets a pod name a Secret is found,
// also those of versions to come: this fails when a new one appears.
func TestEveryReferenceOfPodSpec(t *testing.T) {
	all := references(reflect.TypeFor[corev1.PodSpec](), nil, 0)
	if len(all) < 18 {
		t.Fatalf("only %d references found: the walk is broken", len(all))
	}
	for _, r := range all {
		found := slices.ContainsFunc(Uses(r.set("the-secret")), func(u Use) bool { return u.Secret == "the-secret" })
		if !found {
			t.Errorf("a Secret named in %s is not found", r)
		}
	}
	text := fmt.Sprint(all)
	for _, must := range []string{"Volumes.VolumeSource.Projected.Sources.Secret", "EphemeralContainers", "InitContainers", "CSI.NodePublishSecretRef", "ImagePullSecrets"} {
		if !strings.Contains(text, must) {
			t.Errorf("the walk does not come to %s", must)
		}
	}
}

func TestClasses(t *testing.T) {
	got := Classes(podSpec(t, `volumes:
- {name: a, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: c}}}
- {name: b, csi: {driver: another, volumeAttributes: {secretProviderClass: d}}}
- {name: e, csi: {driver: secrets-store.csi.k8s.io}}`))
	if !reflect.DeepEqual(got, map[string]string{"a": "c"}) {
		t.Errorf("got %v", got)
	}
}

// No pod, however odd, stops a search.
func FuzzPod(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"a","annotations":{"strongkeep.io/content":"x"}},"spec":{"containers":[{"name":"c","envFrom":[{"secretRef":{"name":"s"}}],"volumeMounts":[{"name":"v","subPath":"x"}]}],"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"s"}},{}]}}]},"status":{"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"x"}},"lastState":{"terminated":{"exitCode":1}}}],"conditions":[{"type":"Ready","status":"False"}]}}`))
	f.Add([]byte(`{"spec":{"ephemeralContainers":[{"env":[{"valueFrom":{}}]}],"volumes":[{"csi":{}},{"secret":{}}],"imagePullSecrets":[{}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := &corev1.Pod{}
		if json.Unmarshal(raw, p) != nil {
			return
		}
		pod, health := PodOf(p)
		AllUses(&p.Spec)
		Classes(&p.Spec)
		for _, u := range pod.Uses {
			if u.Secret == "" || u.Kind == "" {
				t.Errorf("a use of nothing: %+v", u)
			}
		}
		if len(health.At(pod.Created, 0)) > 4096 && len(raw) < 1024 {
			t.Error("a text longer than what it says")
		}
	})
}
