package remedy

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// canary is in every value of the workloads here.
const canary = "canary-51aa"

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world has one Deployment with the pod spec of text, and RBAC.
func world(t *testing.T, spec string, target Target, rbac ...any) *World {
	t.Helper()
	c := &doctor.Case{Now: now, Coverage: snapshot.Coverage{"rolebindings": {}, "clusterrolebindings": {}, "roles": {}, "clusterroles": {}, "serviceaccounts": {}, "pods": {}}}
	for _, o := range rbac {
		switch o := o.(type) {
		case rbacv1.Role:
			c.RBAC.Roles = append(c.RBAC.Roles, o)
		case rbacv1.ClusterRole:
			c.RBAC.ClusterRoles = append(c.RBAC.ClusterRoles, o)
		case rbacv1.RoleBinding:
			c.RBAC.RoleBindings = append(c.RBAC.RoleBindings, o)
		case rbacv1.ClusterRoleBinding:
			c.RBAC.ClusterRoleBindings = append(c.RBAC.ClusterRoleBindings, o)
		case corev1.Pod:
			c.Pods = append(c.Pods, o)
		case corev1.ServiceAccount:
			c.Accounts = append(c.Accounts, o)
		case doctor.Workload:
			c.Workloads = append(c.Workloads, o)
		default:
			t.Fatalf("%T", o)
		}
	}
	w := &World{Case: c, Target: target, Namespaced: func(_, resource string) (bool, bool, error) { return resource != "nodes", true, nil }}
	w.Workload = &doctor.Workload{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Group: "apps", Kind: "Deployment"}
	if err := yaml.UnmarshalStrict([]byte(spec), &w.Workload.Template.Spec); err != nil {
		t.Fatal(err)
	}
	return w
}

// has compares the error's kind and words, or the YAML's.
func has(t *testing.T, p *Plan, err error, kind errs.Kind, want ...string) {
	t.Helper()
	text := ""
	switch {
	case err != nil && !errs.Is(err, kind):
		t.Errorf("refused as %v: %v", errs.KindOf(err), err)
		return
	case err != nil:
		text = err.Error()
	default:
		if text, err = p.YAML(); err != nil {
			t.Fatal(err)
		}
		text += p.Does + strings.Join(p.Risks, "\n")
	}
	for _, w := range want {
		if no, absent := strings.CutPrefix(w, "!"); absent && strings.Contains(text, no) || !absent && !strings.Contains(text, w) {
			t.Errorf("%q in:\n%s", w, text)
		}
	}
	if strings.Contains(text, canary) {
		t.Errorf("it tells a value:\n%s", text)
	}
}

// none is the kind of cases that are not refused: nothing is.
const none = errs.Internal

func TestFiles(t *testing.T) {
	const env = "{name: PASSWORD, valueFrom: {secretKeyRef: {name: db.main, key: password}}}"
	for name, c := range map[string]struct {
		spec string
		kind errs.Kind
		want []string
	}{
		"two keys, one volume": {"{containers: [{name: web, env: [{name: LITERAL, value: canary-51aa}, " + env + ", {name: USER, valueFrom: {secretKeyRef: {name: db.main, key: user}}}]}]}", none,
			[]string{"$patch: delete", "name: PASSWORD_FILE", "value: /var/run/strongkeep/secrets/db.main/password", "secretName: db.main", "name: secret-db-main", "readOnly: true", "- key: password\n", "- key: user\n", "!LITERAL", "!optional"}},
		"optional": {"{containers: [{name: web, env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: a, optional: true}}}]}]}", none, []string{"optional: true"}},
		"optional and not": {"{containers: [{name: web, env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: a, optional: true}}}, {name: B, valueFrom: {secretKeyRef: {name: db, key: b}}}]}]}", none,
			[]string{"projected:", "- key: b\n                path: b\n              name: db\n", "- key: a\n                path: a\n              name: db\n              optional: true\n", "!secretName"}},
		"init":              {"{initContainers: [{name: up, env: [" + env + "]}], containers: [{name: web}]}", none, []string{"initContainers:", "!\n      containers:"}},
		"name is taken":     {"{volumes: [{name: secret-db-main}], containers: [{name: web, env: [" + env + "]}]}", none, []string{"name: secret-db-main-2"}},
		"nothing":           {"{containers: [{name: web, env: [{name: A, value: canary-51aa}]}]}", errs.NotExist, []string{"no key of a Secret in a variable"}},
		"envFrom":           {"{containers: [{name: web, envFrom: [{secretRef: {name: db}}]}]}", errs.Unsupported, []string{"envFrom only"}},
		"made of it":        {"{containers: [{name: web, args: ['--dsn=canary-51aa$(PASSWORD)'], env: [" + env + "]}]}", errs.Unsupported, []string{"$(PASSWORD)"}},
		"a shell reads it":  {"{containers: [{name: web, command: [sh, -c, 'exec app --pw=${PASSWORD:-canary-51aa}'], env: [" + env + "]}]}", errs.Unsupported, []string{"its command", "$PASSWORD"}},
		"an argument, bare": {"{containers: [{name: web, args: [-c, 'app $PASSWORD'], env: [" + env + "]}]}", errs.Unsupported, []string{"its arguments"}},
		"by its name":       {"{containers: [{name: web, args: [-c, 'app -p \"`printenv PASSWORD`\"'], env: [" + env + "]}]}", errs.Unsupported, []string{"its arguments"}},
		"a placeholder":     {"{containers: [{name: web, env: [" + env + ", {name: DSN, value: 'u:${PASSWORD}@canary-51aa'}]}]}", errs.Unsupported, []string{"other variables"}},
		"a liveness probe":  {"{containers: [{name: web, livenessProbe: {exec: {command: [sh, -c, \"mysql -p$PASSWORD -e 'select 1'\"]}}, env: [" + env + "]}]}", errs.Unsupported, []string{"container web", "its probes"}},
		"a readiness probe": {"{containers: [{name: web, readinessProbe: {exec: {command: [sh, -c, 'test -n \"${PASSWORD}\"']}}, env: [" + env + "]}]}", errs.Unsupported, []string{"its probes"}},
		"a startup probe":   {"{containers: [{name: web, startupProbe: {exec: {command: [sh, -c, 'x $PASSWORD']}}, env: [" + env + "]}]}", errs.Unsupported, []string{"its probes"}},
		"a hook, started":   {"{containers: [{name: web, lifecycle: {postStart: {exec: {command: [sh, -c, 'x $PASSWORD']}}}, env: [" + env + "]}]}", errs.Unsupported, []string{"lifecycle hooks"}},
		"a hook, ending":    {"{initContainers: [{name: up, lifecycle: {preStop: {exec: {command: [python, -c, 'environ[\"PASSWORD\"]']}}}, env: [" + env + "]}]}", errs.Unsupported, []string{"container up", "lifecycle hooks"}},
		"names that are alike": {"{containers: [{name: web, command: [sh, -c, 'app --PASSWORD=x $PASSWORD_OLD $MY_PASSWORD /etc/PASSWORD PASSWORD.txt'], livenessProbe: {httpGet: {path: /PASSWORD, port: 80}}, env: [" + env + "]}]}", none,
			[]string{"name: PASSWORD_FILE"}},
		"two containers, one Secret": {"{containers: [{name: web, env: [" + env + "]}, {name: side, env: [{name: USER, valueFrom: {secretKeyRef: {name: db.main, key: user}}}]}]}", none,
			[]string{"- name: secret-db-main\n        secret:\n          defaultMode: 292\n          items:\n          - key: password\n            path: password\n          secretName: db.main\n      - name: secret-db-main-2\n        secret:\n          defaultMode: 292\n          items:\n          - key: user\n            path: user\n          secretName: db.main\n",
				"name: side\n        volumeMounts:\n        - mountPath: /var/run/strongkeep/secrets/db.main\n          name: secret-db-main-2\n", "name: web\n        volumeMounts:\n        - mountPath: /var/run/strongkeep/secrets/db.main\n          name: secret-db-main\n"}},
		"variable is taken": {"{containers: [{name: web, env: [" + env + ", {name: PASSWORD_FILE, value: canary-51aa}]}]}", errs.Exist, []string{"PASSWORD_FILE already"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := files(world(t, c.spec, Target{}), Options{FileEnv: true})
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			has(t, p, err, c.kind, c.want...)
		})
	}
	if _, err := files(world(t, "{containers: [{name: web, env: ["+env+"]}]}", Target{}), Options{}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "-file-env") {
		t.Errorf("without the user's word: %v", err)
	}
}

func TestBindings(t *testing.T) {
	b := func(subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "readers"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"}, Subjects: subjects}
	}
	role := func(group, resource string) rbacv1.ClusterRole {
		return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{group}, Resources: []string{resource}}}}
	}
	web, team := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "team", Name: "app"}
	eve := rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "eve"}
	own := b(web)
	own.Labels = map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
	begun := rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "readers"}, RoleRef: b().RoleRef, Subjects: []rbacv1.Subject{web, team}}
	other := begun
	other.Subjects = nil
	for name, c := range map[string]struct {
		rbac []any
		in   []string
		kind errs.Kind
		want []string
	}{
		"of accounts":       {[]any{b(web, team), role("", "secrets")}, nil, none, []string{"# create RoleBinding shop/readers", "# create RoleBinding team/readers", "# delete ClusterRoleBinding readers", "# kind: ClusterRoleBinding", "in shop, team"}},
		"where it is said":  {[]any{b(eve), role("", "secrets")}, []string{"shop"}, none, []string{"RoleBinding shop/readers", "name: eve"}},
		"of people":         {[]any{b(eve), role("", "secrets")}, nil, errs.Invalid, []string{"User eve", "-in"}},
		"goes on":           {[]any{b(web, team), role("", "secrets"), begun}, nil, none, []string{"RoleBinding team/readers", "!RoleBinding shop/readers"}},
		"another is there":  {[]any{b(web, team), role("", "secrets"), other}, nil, errs.Exist, []string{"grants something else"}},
		"everything":        {[]any{b(web), role("*", "*")}, nil, errs.Conflict, []string{"nodes and namespaces among it"}},
		"nodes":             {[]any{b(web), role("", "nodes/proxy")}, nil, errs.Conflict, []string{"lie in no namespace"}},
		"its label alone":   {[]any{own, role("", "secrets")}, nil, none, []string{"RoleBinding shop/readers"}},
		"role is not there": {[]any{b(web)}, nil, errs.NotExist, []string{"ClusterRole reader does not exist"}},
		"is not there":      {nil, nil, errs.NotExist, []string{"no ClusterRoleBinding readers"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := bindings(world(t, "{containers: []}", Target{Name: "readers"}, c.rbac...), Options{In: c.in, Anyway: true})
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			has(t, p, err, c.kind, c.want...)
		})
	}
}

// A binding that Kubernetes makes anew is left alone, whoever was added to it.
func TestOwnBinding(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "system:monitoring", Labels: map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}}
	role := rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}
	b := rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "eve"}, {Kind: "Group", APIGroup: rbacv1.GroupName, Name: meta.Name}}}
	p, err := bindings(world(t, "{containers: []}", Target{Name: meta.Name}, b, role), Options{In: []string{"shop"}})
	has(t, p, err, errs.Conflict, "Kubernetes' own", "take out of it whom somebody added")
}

func TestNarrow(t *testing.T) {
	role := func(r ...rbacv1.PolicyRule) rbacv1.Role {
		return rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reads"}, Rules: r}
	}
	rule := func(verbs, resources string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: []string{""}, Resources: strings.Fields(resources), ResourceNames: names}
	}
	bound := rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reads"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "reads"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "web"}}}
	others := bound
	others.Name, others.Subjects = "others", []rbacv1.Subject{{Kind: "User", Name: "eve"}, {Kind: "ServiceAccount", Name: "web", Namespace: "team"}}
	const anyway = "-anyway"
	pod := func(account, secret string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: account}, Spec: corev1.PodSpec{ServiceAccountName: account, ImagePullSecrets: []corev1.LocalObjectReference{{Name: secret}}}}
	}
	for name, c := range map[string]struct {
		rbac    []any
		secrets []string
		kind    errs.Kind
		want    []string
	}{
		"pods say nothing":  {[]any{role(rule("get list create", "secrets configmaps")), bound, pod("web", "db")}, nil, errs.Invalid, []string{"the kubelet mounts without it", "-audit-log"}},
		"others are bound":  {[]any{role(rule("get", "secrets")), bound, others}, []string{"db"}, errs.Conflict, []string{"User/eve", "ServiceAccount/team/web", "-anyway", "!shop/web,"}},
		"others, anyway":    {[]any{role(rule("get", "secrets")), bound, others}, []string{"db", anyway}, none, []string{"- db\n"}},
		"what its pods use": {[]any{role(rule("get list create", "secrets configmaps")), bound, pod("web", "db"), pod("other", "hidden")}, []string{anyway}, none, []string{"- db\n", "!hidden", "- configmaps", "not known: give -audit-log"}},
		"what is said":      {[]any{role(rule("get", "secrets")), bound}, []string{"b", "a", "b"}, none, []string{"resourceNames:\n  - a\n  - b\n"}},
		"nobody uses any":   {[]any{role(rule("get", "secrets")), bound}, []string{anyway}, errs.Invalid, []string{"no pod of the subjects"}},
		"named already":     {[]any{role(rule("get", "secrets", "db")), bound}, []string{"db"}, errs.NotExist, []string{"without naming them"}},
		"star":              {[]any{role(rule("*", "secrets")), bound}, []string{"db"}, errs.Unsupported, []string{"cannot be narrowed"}},
		"no reading":        {[]any{role(rule("create", "secrets")), bound}, []string{"db"}, errs.NotExist, []string{"without naming them"}},
		"is not there":      {nil, []string{"db"}, errs.NotExist, []string{"no Role shop/reads"}},
	} {
		t.Run(name, func(t *testing.T) {
			secrets := slices.DeleteFunc(slices.Clone(c.secrets), func(s string) bool { return s == anyway })
			o := Options{Secrets: secrets, Anyway: len(secrets) < len(c.secrets)}
			p, err := narrow(world(t, "{containers: []}", Target{Namespace: "shop", Name: "reads"}, c.rbac...), o)
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			has(t, p, err, c.kind, c.want...)
		})
	}
}

// A finding of somebody else's name is not taken for a Role that is called the same.
func TestNarrowWhatIsMeant(t *testing.T) {
	reads := rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}
	for kind, want := range map[string]errs.Kind{"Group": errs.Unsupported, "User": errs.Unsupported, "ServiceAccount": errs.NotExist} {
		_, err := narrow(world(t, "{containers: []}", Target{Kind: kind, Namespace: "shop", Name: "web"}, reads), Options{Secrets: []string{"db"}})
		if !errs.Is(err, want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A plan that is made again is the same, whichever containers use whichever Secrets, and
// Secrets whose names are alike have volumes of their own.
func TestFilesAreTheSameAgain(t *testing.T) {
	var names, init []string
	long := strings.Repeat("a", 70)
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"} {
		names = append(names, "{name: V"+n+", valueFrom: {secretKeyRef: {name: "+long+n+", key: a}}}")
		init = append(init, "{name: V"+n+", valueFrom: {secretKeyRef: {name: other"+n+", key: a}}}")
	}
	spec := "{initContainers: [{name: up, env: [" + strings.Join(init, ", ") + "]}], containers: [{name: web, env: [" + strings.Join(names, ", ") + "]}]}"
	var first string
	for range 20 {
		p, err := files(world(t, spec, Target{}), Options{FileEnv: true})
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = text
		}
		if text != first {
			t.Fatalf("first:\n%s\nthen:\n%s", first, text)
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(first) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "name: secret-a")
		if !ok {
			continue
		}
		if len("secret-a"+name) > 63 {
			t.Errorf("a volume is called %s", name)
		}
		seen[name] = true
	}
	if len(seen) != 11 {
		t.Errorf("11 Secrets have %d volumes", len(seen))
	}
}
