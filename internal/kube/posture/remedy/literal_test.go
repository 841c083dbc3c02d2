package remedy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// copied is world with Secret db, whose password is the canary, and ConfigMap app of data.
func copied(t *testing.T, spec string, data map[string]string, more ...any) *World {
	t.Helper()
	w := world(t, spec, Target{Kind: "ConfigMap", Namespace: "shop", Name: "app"}, more...)
	w.Secrets = []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Data: map[string][]byte{"password": []byte(canary), "user": []byte("app"), "port": []byte("5432")}}}
	w.Map = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, Data: data}
	for _, resource := range []string{"pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"} {
		w.Coverage[resource] = snapshot.Gap{}
	}
	w.Workloads = append(w.Workloads, *w.Workload)
	w.Whole = func(snapshot.Ref) (*doctor.Workload, error) { return w.Workload, nil }
	return w
}

// A literal becomes the key of the Secret that has the same value, and no other is touched.
func TestLiterals(t *testing.T) {
	for name, c := range map[string]struct {
		env   string
		files bool
		kind  errs.Kind
		want  []string
	}{
		"by its name":     {"{name: PASSWORD, value: canary-51aa}, {name: LEVEL, value: info}", false, none, []string{"value: null", "secretKeyRef:", "key: password", "name: db", "!LEVEL", "!$patch", "!volumes", "!volumeMounts"}},
		"by another name": {"{name: DB_PW, value: canary-51aa}", false, none, []string{"key: password", "name: DB_PW"}},
		"as a file":       {"{name: PASSWORD, value: canary-51aa}", true, none, []string{"name: PASSWORD_FILE", "$patch: delete", "secretName: db", "!secretKeyRef"}},
		"a user's name":   {"{name: USER, value: app}, {name: PORT, value: '5432'}", false, errs.NotExist, []string{"no variable"}},
		"in a longer one": {"{name: DSN, value: 'postgres://u:canary-51aa@h/d'}", false, errs.NotExist, []string{"inside a longer text"}},
		"made of others":  {"{name: PASSWORD, value: 'canary-51aa$(X)'}", false, errs.NotExist, nil},
		"with an escape":  {"{name: PASSWORD, value: 'canary$$51aa'}", false, errs.NotExist, nil},
		"has a reference": {"{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}", false, errs.NotExist, nil},
		"others need it":  {"{name: PASSWORD, value: canary-51aa}, {name: DSN, value: 'u:$(PASSWORD)@h'}", true, errs.Unsupported, []string{"$(PASSWORD)"}},
		"others made it":  {"{name: PASSWORD, value: canary-51aa}, {name: DSN, value: 'u:$(PASSWORD)@h'}", false, none, []string{"name: PASSWORD", "!DSN"}},
	} {
		w := copied(t, "{containers: [{name: web, env: ["+c.env+"]}]}", nil)
		p, err := literals(w, Options{Secrets: []string{"db"}, FileEnv: c.files})
		if (err != nil) != (c.kind != none) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has(t, p, err, c.kind, c.want...)
	}
	w := copied(t, "{initContainers: [{name: up, env: [{name: PASSWORD, value: canary-51aa}]}], containers: [{name: web}]}", nil)
	p, err := literals(w, Options{Secrets: []string{"db"}})
	has(t, p, err, none, "initContainers:", "name: up")
	w.Secrets[0].Data["pass"] = []byte(canary)
	p, err = literals(w, Options{Secrets: []string{"db"}})
	has(t, p, err, none, "key: password") // the one that is called the same
	w.Secrets[0].Data["PASS_WORD"] = []byte(canary)
	_, err = literals(w, Options{Secrets: []string{"db"}})
	has(t, nil, err, errs.Conflict, "which is its source cannot be told")
	_, err = literals(w, Options{})
	has(t, nil, err, errs.Invalid, "-secret=NAME")
}

// Who has a key of a ConfigMap gets the same at the same place from the Secret.
func TestConfigMapUsers(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		kind errs.Kind
		want []string
	}{
		"a variable":        {"{containers: [{name: web, env: [{name: P, valueFrom: {configMapKeyRef: {name: app, key: password}}}, {name: H, valueFrom: {configMapKeyRef: {name: app, key: host}}}]}]}", none, []string{"configMapKeyRef: null", "name: db", "key: password", "!name: H"}},
		"all as variables":  {"{containers: [{name: web, envFrom: [{prefix: APP_, configMapRef: {name: app}}]}]}", none, []string{"name: APP_password", "key: password", "!envFrom", "!host"}},
		"one counts more":   {"{containers: [{name: web, env: [{name: password, value: x}], envFrom: [{configMapRef: {name: app}}]}]}", none, []string{"password: null", "!Deployment"}},
		"more behind it":    {"{containers: [{name: web, envFrom: [{configMapRef: {name: app}}, {secretRef: {name: db}}]}]}", errs.Unsupported, []string{"more in envFrom"}},
		"others made of it": {"{containers: [{name: web, env: [{name: DSN, value: 'u:$(password)@h'}], envFrom: [{configMapRef: {name: app}}]}]}", errs.Unsupported, []string{"$(password)"}},
		"a volume of all":   {"{volumes: [{name: v, configMap: {name: app, defaultMode: 0400}}], containers: [{name: web}]}", none, []string{"configMap: null", "defaultMode: 256", "- configMap:\n              name: app\n", "path: password\n              name: db\n"}},
		"items of a volume": {"{volumes: [{name: v, configMap: {name: app, items: [{key: password, path: etc/pw, mode: 0440}, {key: host, path: host}]}}], containers: [{name: web}]}", none,
			[]string{"mode: 288\n                path: etc/pw\n              name: db\n", "path: host\n              name: app\n"}},
		"nothing else in it": {"{volumes: [{name: v, configMap: {name: app, items: [{key: password, path: pw}]}}], containers: [{name: web}]}", none, []string{"path: pw", "!name: app\n"}},
		"projected": {"{volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: token, audience: a}}, {configMap: {name: app}}]}}], containers: [{name: web}]}", none,
			[]string{"serviceAccountToken:", "audience: a", "- secret:", "!configMap: null"}},
		"moved before":              {"{volumes: [{name: v, projected: {sources: [{configMap: {name: app}}, {secret: {name: db, items: [{key: password, path: password}]}}]}}], containers: [{name: web}]}", none, []string{"password: null", "!Deployment"}},
		"another Secret before it":  {"{volumes: [{name: v, projected: {sources: [{secret: {name: other, items: [{key: x, path: password}]}}, {configMap: {name: app}}]}}], containers: [{name: web}]}", none, []string{"kind: Deployment", "name: other", "name: db", "!password: null"}},
		"another ConfigMap":         {"{volumes: [{name: v, configMap: {name: other}}], containers: [{name: web, envFrom: [{configMapRef: {name: other}}]}]}", none, []string{"password: null", "!Deployment"}},
		"another key of the volume": {"{volumes: [{name: v, configMap: {name: app, items: [{key: host, path: host}]}}], containers: [{name: web}]}", none, []string{"password: null", "!Deployment"}},
	} {
		p, err := unmap(copied(t, c.spec, map[string]string{"password": canary, "host": "db.internal", "user": "app"}), Options{Secrets: []string{"db"}})
		if (err != nil) != (c.kind != none) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has(t, p, err, c.kind, c.want...)
		var out any // it is a patch, and one document
		if text, textErr := "", error(nil); err == nil {
			if text, textErr = p.YAML(); textErr != nil || yaml.Unmarshal([]byte(text), &out) != nil {
				t.Errorf("%s: %v\n%s", name, textErr, text)
			}
		}
	}
}

// A key goes when nothing has it any more; what cannot follow is named, and nothing is done.
func TestConfigMapKeys(t *testing.T) {
	const uses, idle = "{containers: [{name: web, envFrom: [{configMapRef: {name: app}}]}]}", "{containers: [{name: web}]}"
	spec := func(text string) corev1.PodSpec {
		var out corev1.PodSpec
		if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	pod := func(phase corev1.PodPhase) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"}, Spec: spec(uses), Status: corev1.PodStatus{Phase: phase}}
	}
	other := func(kind string, replicas int32, owner string) doctor.Workload {
		w := doctor.Workload{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}, Kind: kind, Replicas: replicas, Updated: replicas, Template: corev1.PodTemplateSpec{Spec: spec(uses)}}
		if owner != "" {
			yes := true
			w.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Name: "up", Controller: &yes}}
		}
		return w
	}
	ended := func(owner string) doctor.Workload {
		w := other("Job", 1, owner)
		w.Ended = true
		return w
	}
	rolling := doctor.Workload{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "rolling"}, Kind: "StatefulSet", Replicas: 2, Updated: 1, Template: corev1.PodTemplateSpec{Spec: spec(idle)}}
	for name, c := range map[string]struct {
		more   []any
		change func(*World)
		kind   errs.Kind
		want   []string
	}{
		"nobody has it":          {nil, nil, none, []string{"kind: ConfigMap", "password: null", "!host", "!user", "!binaryData"}},
		"as bytes":               {nil, func(w *World) { w.Map.BinaryData, w.Map.Data = map[string][]byte{"password": []byte(canary)}, nil }, none, []string{"binaryData:\n  password: null"}},
		"a pod has it":           {[]any{pod(corev1.PodRunning)}, nil, errs.Conflict, []string{"web-1", "Call this again"}},
		"a pod that has ended":   {[]any{pod(corev1.PodSucceeded)}, nil, none, []string{"password: null"}},
		"a ReplicaSet of nobody": {[]any{other("ReplicaSet", 1, "")}, nil, errs.Conflict, []string{"ReplicaSet shop/other", "cannot be changed"}},
		"of a Deployment":        {[]any{other("ReplicaSet", 1, "Deployment")}, nil, none, []string{"password: null"}},
		"of a Rollout":           {[]any{other("ReplicaSet", 1, "Rollout")}, nil, errs.Conflict, []string{"Rollout up makes it"}},
		"may be scaled up":       {[]any{other("ReplicaSet", 0, "")}, nil, errs.Conflict, []string{"ReplicaSet shop/other"}},
		"a Job that runs":        {[]any{other("Job", 1, "")}, nil, errs.Conflict, []string{"Job shop/other"}},
		"a Job that may go on":   {[]any{other("Job", 0, "")}, nil, errs.Conflict, []string{"Job shop/other", "may run again"}},
		"a Job of a CronJob":     {[]any{other("Job", 0, "CronJob")}, nil, errs.Conflict, []string{"Job shop/other", "suspend their CronJob", "Call this again"}},
		"a Job that has ended":   {[]any{ended("")}, nil, none, []string{"password: null"}},
		"a CronJob's, ended":     {[]any{ended("CronJob")}, nil, none, []string{"password: null"}},
		"ended, its pod has not": {[]any{ended("CronJob"), pod(corev1.PodRunning)}, nil, errs.Conflict, []string{"web-1"}},
		"ended, of a Workflow":   {[]any{ended("Workflow")}, nil, errs.Conflict, []string{"Workflow up makes it"}},
		"a roll-out":             {[]any{rolling}, nil, errs.Conflict, []string{"roll-out of StatefulSet shop/rolling"}},
		"of an operator":         {[]any{other("StatefulSet", 1, "Postgres")}, nil, errs.Conflict, []string{"Postgres up makes it"}},
		"immutable":              {nil, func(w *World) { yes := true; w.Map.Immutable = &yes }, errs.Unsupported, []string{"immutable"}},
		"written by another": {nil, func(w *World) {
			yes := true
			w.Map.OwnerReferences = []metav1.OwnerReference{{Kind: "Chart", Name: "c", Controller: &yes}}
		}, errs.Conflict, []string{"Chart c"}},
		"pods are not known":   {nil, func(w *World) { w.Coverage["pods"] = snapshot.Gap{Reason: "no right"} }, errs.Denied, []string{"pods"}},
		"inside a longer text": {nil, func(w *World) { w.Map.Data = map[string]string{"url": "postgres://u:" + canary + "@h"} }, errs.NotExist, []string{"longer text"}},
	} {
		w := copied(t, idle, map[string]string{"password": canary, "host": "db.internal", "user": "app"}, c.more...)
		if c.change != nil {
			c.change(w)
		}
		p, err := unmap(w, Options{Secrets: []string{"db"}})
		if (err != nil) != (c.kind != none) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has(t, p, err, c.kind, c.want...)
	}
	// Jobs that a CronJob has made do not keep its template from being changed; others do.
	for owner, kind := range map[string]errs.Kind{"CronJob": none, "": errs.Conflict} {
		w := copied(t, uses, map[string]string{"password": canary}, ended(owner), other("Job", 1, owner), pod(corev1.PodRunning))
		w.Workload.Kind, w.Workload.Group = "CronJob", "batch"
		w.Workloads[len(w.Workloads)-1] = *w.Workload
		p, err := unmap(w, Options{Secrets: []string{"db"}})
		if (err != nil) != (kind != none) {
			t.Errorf("with a Job of %q: %v", owner, err)
			continue
		}
		if kind == none {
			has(t, p, err, kind, "kind: CronJob", "jobTemplate:", "name: password", "!kind: ConfigMap")
		} else {
			has(t, p, err, kind, "Job shop/other", "may run again")
		}
	}
}
