package reload

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

type m = map[string]string

// facts/external-secrets.md §6.3: what each of Reloader's annotations means.
// Objects: Secrets "used" and "free" (which no pod uses), ConfigMap "conf", used;
// those with "!" carry match.
func TestWants(t *testing.T) {
	const (
		auto    = "reloader.stakater.com/auto"
		search  = "reloader.stakater.com/search"
		secret  = "secret.reloader.stakater.com/"
		config  = "configmap.reloader.stakater.com/"
		exclude = ".exclude.reloader.stakater.com/reload"
		our     = "strongkeep.io/reload"
	)
	const used, free, conf, matched = "secret/used", "secret/free", "configmap/conf", "secret/matched!"
	for name, c := range map[string]struct {
		workload, template m
		want               string
		way                string
	}{
		"nothing":             {nil, nil, "", ""},
		"auto":                {m{auto: "true"}, nil, "configmap/conf secret/matched! secret/used", "restart"},
		"auto false":          {m{auto: "false"}, nil, "", ""},
		"auto odd":            {m{auto: "sometimes"}, nil, "", ""},
		"secrets only":        {m{secret + "auto": "true"}, nil, "secret/matched! secret/used", "restart"},
		"config maps only":    {m{config + "auto": "true"}, nil, "configmap/conf", "restart"},
		"auto false, typed":   {m{auto: "false", config + "auto": "true"}, nil, "configmap/conf", "restart"},
		"named":               {m{secret + "reload": "free"}, nil, "secret/free", "restart"},
		"named, list":         {m{secret + "reload": "free , used"}, nil, "secret/free secret/used", "restart"},
		"named, pattern":      {m{secret + "reload": "fr.*|x"}, nil, "secret/free", "restart"},
		"named, whole name":   {m{secret + "reload": "fre"}, nil, "", "restart"},
		"named, bad pattern":  {m{secret + "reload": "(,used"}, nil, "secret/used", "restart"},
		"named of other kind": {m{config + "reload": "used,conf"}, nil, "configmap/conf", "restart"},
		"search":              {m{search: "true"}, nil, "secret/matched!", "restart"},
		"search and auto":     {m{search: "true", auto: "true"}, nil, "configmap/conf secret/matched! secret/used", "restart"},
		"excluded":            {m{auto: "true", "secrets" + exclude: "used, x", "configmaps" + exclude: "conf"}, nil, "secret/matched!", "restart"},
		"template":            {nil, m{auto: "true"}, "configmap/conf secret/matched! secret/used", "restart"},
		"workload over it":    {m{auto: "false"}, m{auto: "true"}, "", ""},
		"ignored":             {m{auto: "true", "reloader.stakater.com/ignore": "true"}, nil, "", ""},
		"ours":                {m{our: "restart"}, nil, "configmap/conf secret/matched! secret/used", "restart"},
		"ours auto":           {m{our: "auto"}, nil, "configmap/conf secret/matched! secret/used", "restart"},
		"ours signal":         {m{our: "signal"}, nil, "configmap/conf secret/matched! secret/used", "signal"},
		"ours none wins":      {m{our: "none", auto: "true"}, nil, "", ""},
		"ours, theirs choose": {m{our: "signal", secret + "reload": "free"}, nil, "secret/free", "signal"},
		"ours odd":            {m{our: "hup"}, nil, "", ""},
		"ours of template":    {nil, m{our: "restart"}, "configmap/conf secret/matched! secret/used", "restart"},
	} {
		s := Read(c.workload, c.template)
		var got []string
		for _, o := range []struct {
			entry string
			used  bool
		}{{conf, true}, {free, false}, {matched, true}, {used, true}} {
			e, _ := content.ParseEntry("ns", strings.TrimSuffix(o.entry, "!"))
			annotations := m{}
			if strings.HasSuffix(o.entry, "!") {
				annotations[annotationMatch] = "true"
			}
			if s.Wants(e.Kind, e.Name, o.used, annotations) {
				got = append(got, o.entry)
			}
			annotations[annotationIgnore] = "true"
			if s.Wants(e.Kind, e.Name, o.used, annotations) {
				t.Errorf("%s: %s counts although it says ignore", name, o.entry)
			}
		}
		if strings.Join(got, " ") != c.want || s.Way != c.way {
			t.Errorf("%s: %v %q, want %q %q", name, got, s.Way, c.want, c.way)
		}
		if odd := strings.Contains(name, "odd") || strings.Contains(name, "bad"); odd != (len(s.Problems) > 0) {
			t.Errorf("%s: problems %v", name, s.Problems)
		}
	}
}

func TestHow(t *testing.T) {
	s := Read(m{annotationAuto: "true", annotationStrategy: "restart", annotationPause: "5m"}, nil)
	if s.Method != v1alpha1.RolloutEvict || s.Pause != 5*time.Minute || len(s.Problems) != 0 {
		t.Errorf("%+v", s)
	}
	s = Read(m{annotationAuto: "true", annotationStrategy: "x", annotationPause: "soon"}, nil)
	if s.Method != v1alpha1.RolloutTemplate || s.Pause != 0 || len(s.Problems) != 2 {
		t.Errorf("%+v", s)
	}
	named := m{"secret.reloader.stakater.com/reload": "a.*"}
	if !Keep(named, "secret/abc") || Keep(named, "configmap/abc") || Keep(named, "secret/b") || Keep(named, "x") {
		t.Error("Keep")
	}
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		record, template, present string
		adopt, changed            string
	}{
		"first sight":             {"", "", "a=1,b=2", "a=1,b=2", ""},
		"as it was":               {"a=1,b=2", "", "a=1,b=2", "", ""},
		"changed":                 {"a=1,b=2", "", "a=1,b=3", "", "b"},
		"changed and new":         {"a=1", "", "a=2,b=2", "b=2", "a"},
		"known by the template":   {"", "a=1", "a=2", "", "a"},
		"restarted by a rotation": {"a=2", "a=2", "a=2", "", ""},
		"the template was reset":  {"a=2", "", "a=2", "", ""},
		"an older template":       {"a=2", "a=1", "a=2", "", ""},
		"both reset":              {"", "", "a=2", "a=2", ""},
		"gone":                    {"a=1,b=2", "", "a=1", "", ""},
		"back, and as it was":     {"a=1,b=2", "", "a=1,b=2", "", ""},
		"went there and back":     {"a=2", "a=2", "a=1", "", "a"},
		"the record was reset":    {"a=1", "a=2", "a=2", "", ""},
	} {
		d := Decide(rollout.ParseStamp(c.record), rollout.ParseStamp(c.template), rollout.ParseStamp(c.present))
		if d.Adopt.String() != c.adopt || strings.Join(d.Changed, ",") != c.changed {
			t.Errorf("%s: adopt %q, changed %v", name, d.Adopt, d.Changed)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("reloader.stakater.com/auto", "true", "secret/x")
	f.Add("secret.reloader.stakater.com/reload", "a,(b|c).*,[", "configmap/y")
	f.Add("deployment.reloader.stakater.com/pause-period", "-1h", "")
	f.Fuzz(func(t *testing.T, key, value, entry string) {
		s := Read(m{key: value}, m{key: value})
		if s.Pause < 0 || s.Way != "" && s.Way != rollout.ReloadRestart && s.Way != rollout.ReloadSignal {
			t.Errorf("%+v", s)
		}
		if o, ok := content.ParseEntry("ns", entry); ok && s.Way == "" && s.Wants(o.Kind, o.Name, true, nil) {
			t.Error("wants what it leaves alone")
		}
	})
}

// What a cache drops changes no answer.
func TestShrink(t *testing.T) {
	env := []corev1.EnvVar{{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", Annotations: m{annotationAuto: "true", "other": "x", rollout.AnnotationStamp: "secret/s=1"}}}
	d.Spec.Template.Spec = corev1.PodSpec{
		Containers: []corev1.Container{{Name: "a", Image: "i", Env: env, Command: []string{"x"}}},
		Volumes: []corev1.Volume{
			{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
			{Name: "w", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
	before := content.References(&d.Spec.Template.Spec)
	plain := d.DeepCopy()
	plain.Annotations = nil
	for _, o := range []*appsv1.Deployment{d, plain} {
		if _, err := Shrink(o); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, content.References(&d.Spec.Template.Spec)); diff != "" || len(before) != 2 {
		t.Error(diff)
	}
	if len(d.Annotations) != 2 || d.Spec.Template.Spec.Containers[0].Image != "" || len(d.Spec.Template.Spec.Volumes) != 1 {
		t.Errorf("%+v", d)
	}
	if len(plain.Spec.Template.Spec.Containers) != 0 || len(index(plain)) != 0 || len(index(d)) != 2 {
		t.Errorf("%+v", plain)
	}
}
