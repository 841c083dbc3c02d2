package record

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// podValues are the values that stand in a pod's spec itself: in env, commands and
// arguments, headers of probes, and attributes of volumes.
func (m *Maker) podValues(spec *corev1.PodSpec) []snapshot.Value {
	w := literals{maker: m}
	each(spec, func(c *corev1.Container, kind string) {
		in := "spec.containers["
		switch kind {
		case "init", "sidecar":
			in = "spec.initContainers["
		case "ephemeral":
			in = "spec.ephemeralContainers["
		}
		w.container(in+c.Name+"].", c)
	})
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.CSI != nil {
			w.attributes("spec.volumes["+v.Name+"].csi.volumeAttributes", v.CSI.VolumeAttributes)
		}
		if v.FlexVolume != nil {
			w.attributes("spec.volumes["+v.Name+"].flexVolume.options", v.FlexVolume.Options)
		}
	}
	return w.out
}

// literals gathers the values of a pod's spec.
type literals struct {
	maker *Maker
	out   []snapshot.Value
}

func (w *literals) add(field, key, text string) {
	if text != "" {
		w.out = telling(w.out, w.maker.value(field, key, []byte(text)))
	}
}

func (w *literals) container(in string, c *corev1.Container) {
	for i := range c.Env {
		w.add(in+"env["+shown(c.Env[i].Name)+"]", c.Env[i].Name, c.Env[i].Value)
	}
	w.words(in+"command", c.Command)
	w.words(in+"args", c.Args)
	for i, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			w.action(in+[]string{"livenessProbe", "readinessProbe", "startupProbe"}[i], p.Exec, p.HTTPGet)
		}
	}
	if c.Lifecycle == nil {
		return
	}
	for i, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if h != nil {
			w.action(in+[]string{"lifecycle.postStart", "lifecycle.preStop"}[i], h.Exec, h.HTTPGet)
		}
	}
}

// words are those of a command line. A word behind a flag such as --password is
// known by its name.
func (w *literals) words(field string, list []string) {
	before := ""
	for i, text := range list {
		w.add(field+"["+strconv.Itoa(i)+"]", before, text)
		before = ""
		if name := strings.TrimLeft(text, "-"); name != text && !strings.ContainsAny(text, "= \n") {
			before = name
		}
	}
}

func (w *literals) action(in string, exec *corev1.ExecAction, get *corev1.HTTPGetAction) {
	if exec != nil {
		w.words(in+".exec.command", exec.Command)
	}
	if get == nil {
		return
	}
	for _, h := range get.HTTPHeaders {
		w.add(in+".httpGet.httpHeaders["+shown(h.Name)+"]", headers[strings.ToLower(h.Name)], h.Value)
	}
}

// headers by which one logs in, and what their values are called.
var headers = map[string]string{
	"authorization": "token", "proxy-authorization": "token", "x-api-key": "apikey", "api-key": "apikey", "x-auth-token": "token", "cookie": "token",
	"x-vault-token": "token", "private-token": "token",
}

func (w *literals) attributes(field string, all map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(all)) {
		w.add(field+"["+shown(k)+"]", k, all[k])
	}
}
