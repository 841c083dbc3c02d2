package record

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read/document"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// helmType is the type of the Secrets that Helm keeps releases in.
const helmType = "helm.sh/release.v1"

// Limits of looking into a release. Whoever may create Secrets in one namespace chooses
// what is in it: 1 MiB, which may unpack to a thousand times as much.
const (
	maxRelease = 16 << 20 // bytes, unpacked
	maxLeaves  = 4096     // values of a chart
	maxNesting = 32
)

// unpacking holds those who look into releases to two at a time, which bounds the memory
// they take together.
var unpacking = make(chan struct{}, 2)

// packed is a release of Helm as it is stored: JSON, gzip, base64.
type packed struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Info    struct {
		Status string `json:"status"`
	} `json:"info"`
	Chart struct {
		Metadata struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"metadata"`
		Values json.RawMessage `json:"values"`
	} `json:"chart"`
	Config   json.RawMessage `json:"config"`
	Manifest string          `json:"manifest"`
	Hooks    []struct {
		Manifest string `json:"manifest"`
	} `json:"hooks"`

	unread bool // some of it is too large
}

// helm are what is said of a release, and the values in it; nil if there is none.
func (m *Maker) helm(labels map[string]string, raw []byte, text string) (*snapshot.Release, []snapshot.Value) {
	if text != "" {
		raw = []byte(text)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	unpacking <- struct{}{}
	defer func() { <-unpacking }()
	p := unpack(raw)
	if p == nil {
		return nil, nil
	}
	var values []snapshot.Value
	if m.Key != nil {
		values = m.release(p)
	}
	about := p.about()
	if about.Name == "" && p.unread {
		about.Name, about.Status = labels["name"], labels["status"]
	}
	return about, values
}

// unpack reads a release; nil if there is none.
func unpack(raw []byte) *packed {
	plain := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Decode(plain, raw)
	if err != nil {
		return nil
	}
	plain = plain[:n]
	if bytes.HasPrefix(plain, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(bytes.NewReader(plain))
		if err != nil {
			return nil
		}
		if plain, err = io.ReadAll(io.LimitReader(z, maxRelease+1)); err != nil {
			return nil
		}
		if len(plain) > maxRelease {
			return &packed{unread: true}
		}
	}
	var out packed
	if json.Unmarshal(plain, &out) != nil {
		return nil
	}
	return &out
}

// about is what is said of a release.
func (p *packed) about() *snapshot.Release {
	chart := p.Chart.Metadata.Name
	if v := p.Chart.Metadata.Version; v != "" {
		chart += "-" + v
	}
	return &snapshot.Release{Name: p.Name, Chart: chart, Revision: p.Version, Status: p.Info.Status, Unread: p.unread}
}

// release are the values in a release: those the user gave, those of the chart that
// look like secrets, and those of the objects that were made.
func (m *Maker) release(p *packed) []snapshot.Value {
	l := leaves{maker: m, left: maxLeaves}
	l.tree("release.config", p, p.Config)
	l.sensitive = true
	l.tree("release.chart.values", p, p.Chart.Values)
	out := append(l.out, m.manifest("release.manifest", p, p.Manifest)...)
	for i := range p.Hooks {
		out = append(out, m.manifest("release.hooks["+strconv.Itoa(i)+"]", p, p.Hooks[i].Manifest)...)
	}
	return out
}

// tree adds the values of JSON, unless it would become too large in memory.
func (l *leaves) tree(field string, of *packed, raw json.RawMessage) {
	if document.TooLarge(raw) {
		of.unread = true
		return
	}
	var tree map[string]any
	if json.Unmarshal(raw, &tree) == nil {
		l.add(field, "", tree, 0)
	}
	of.unread = of.unread || l.left == 0
}

// leaves gathers the values of a tree.
type leaves struct {
	maker     *Maker
	left      int
	sensitive bool // only what looks like a secret
	out       []snapshot.Value
}

func (l *leaves) add(field, key string, tree any, depth int) {
	if depth > maxNesting || l.left == 0 {
		return
	}
	switch t := tree.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(t)) {
			l.add(field+"."+shown(k), k, t[k], depth+1)
		}
	case []any:
		for i, v := range t {
			l.add(field+"["+strconv.Itoa(i)+"]", key, v, depth+1)
		}
	case string:
		l.left--
		v := l.maker.value(field, key, []byte(t))
		if !l.sensitive || v.Looks.Sensitive() {
			l.out = telling(l.out, v)
		}
	}
}

var (
	separators = regexp.MustCompile(`(?m)^---`)
	// looked are the kinds whose values are taken out of a manifest, before it is
	// parsed: parsing is what is slow.
	looked = regexp.MustCompile(`(?m)^["']?kind["']?: *["']?(Secret|ConfigMap|Pod|Deployment|StatefulSet|DaemonSet|ReplicaSet|Job|CronJob)["']?\s*$`)
)

// manifest are the values of the objects that a text has.
func (m *Maker) manifest(field string, of *packed, text string) []snapshot.Value {
	var out []snapshot.Value
	for _, doc := range separators.Split(text, -1) {
		kind := looked.FindStringSubmatch(doc)
		if kind == nil {
			continue
		}
		if document.TooLarge([]byte(doc)) {
			of.unread = true
			continue
		}
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			continue
		}
		name, values := m.object(kind[1], raw)
		for i := range values {
			values[i].Field = field + "[" + kind[1] + "/" + name + "]." + values[i].Field
			out = telling(out, values[i])
		}
	}
	return out
}

// object are the name and the values of an object of a kind in JSON.
func (m *Maker) object(kind string, raw []byte) (string, []snapshot.Value) {
	switch kind {
	case "Secret":
		var o corev1.Secret
		if json.Unmarshal(raw, &o) == nil {
			return o.Name, m.data(o.Data, o.StringData)
		}
	case "ConfigMap":
		var o corev1.ConfigMap
		if json.Unmarshal(raw, &o) == nil {
			return o.Name, m.configData(o.BinaryData, o.Data)
		}
	case "Pod":
		var o corev1.Pod
		if json.Unmarshal(raw, &o) == nil {
			return o.Name, m.podValues(&o.Spec)
		}
	default:
		o := makers[kind]()
		if json.Unmarshal(raw, o) == nil {
			if _, template, ok := consumer.WorkloadOf(o); ok && template != nil {
				return o.GetName(), m.podValues(&template.Spec)
			}
		}
	}
	return "", nil
}

var makers = map[string]func() metav1.Object{
	"Deployment":  func() metav1.Object { return &appsv1.Deployment{} },
	"StatefulSet": func() metav1.Object { return &appsv1.StatefulSet{} },
	"DaemonSet":   func() metav1.Object { return &appsv1.DaemonSet{} },
	"ReplicaSet":  func() metav1.Object { return &appsv1.ReplicaSet{} },
	"Job":         func() metav1.Object { return &batchv1.Job{} },
	"CronJob":     func() metav1.Object { return &batchv1.CronJob{} },
}
