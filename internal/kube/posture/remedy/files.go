package remedy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/relocation"
)

// folder is where Secrets are mounted that were variables.
const folder = "/var/run/strongkeep/secrets/"

// readsFile is said with every plan that makes files of variables.
const readsFile = "the application must read the file that NAME_FILE names; whether it does is not known here, nor whether scripts of the image or of a volume read NAME"

// files makes files of variables that are keys of Secrets: NAME becomes NAME_FILE,
// with the path.
func files(w *World, o Options) (*Plan, error) {
	x := filing{spec: &w.Workload.Template.Spec, volumes: map[use]*volume{}, of: func(e *corev1.EnvVar) (*corev1.SecretKeySelector, error) {
		if e.ValueFrom == nil {
			return nil, nil
		}
		return e.ValueFrom.SecretKeyRef, nil
	}}
	if err := x.all(); err != nil {
		return nil, err
	}
	switch {
	case x.moved == 0 && x.whole:
		return nil, errs.Newf(errs.Unsupported, "%s has Secrets in envFrom only: which of its variables the application reads is not known; name them one by one in env, with secretKeyRef, and call this again", w.Workload.Ref())
	case x.moved == 0:
		return nil, nothing("%s has no key of a Secret in a variable", w.Workload.Ref())
	case !o.FileEnv:
		return nil, errs.Newf(errs.Invalid, "the application must read a file in place of each variable: if it takes NAME_FILE for NAME, as many images do, say -file-env; otherwise change it first")
	}
	p := &Plan{
		Check: "SEC-09", Rules: []string{"EnvVariable"}, Object: w.Workload.Ref(),
		Does: "mounts Secrets as files where they were variables, and sets NAME_FILE to the path in place of NAME",
		Risks: []string{
			readsFile,
			"the pods are restarted by the change of their template",
		},
		Steps: []Step{patchOf(w.Workload, map[string]any{"spec": x.body()}, "files for variables")},
	}
	if x.whole {
		p.Risks = append(p.Risks, "envFrom stays as it is: which of its variables are read is not known")
	}
	if slices.ContainsFunc(x.spec.Containers, notRoot) || x.spec.SecurityContext != nil && x.spec.SecurityContext.RunAsUser != nil {
		p.Risks = append(p.Risks, "files are 0444: any user of the container reads them, as any process read the variable")
	}
	return p, nil
}

func notRoot(c corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil
}

// filing gathers the patch of one workload.
type filing struct {
	spec *corev1.PodSpec
	// of is the key of a Secret that a variable has or is to have, nil if it has none.
	of func(*corev1.EnvVar) (*corev1.SecretKeySelector, error)
	// inline has variables stay variables.
	inline     bool
	containers map[string][]any // patches, by list
	volumes    map[use]*volume
	order      []use // of volumes
	moved      int
	whole      bool // there is an envFrom
}

// use is what a volume is for: a container reads no file that was another's variable alone.
type use struct{ container, secret string }

// volume is one of a Secret for a container, with the keys that were variables and no others: those that
// must be there, and those that may be missing.
type volume struct {
	name           string
	must, optional []string
}

// all goes through the containers: in this order, always, so that a plan that is made again
// is the same.
func (x *filing) all() error {
	for _, of := range []struct {
		kind string
		list []corev1.Container
	}{{"initContainers", x.spec.InitContainers}, {"containers", x.spec.Containers}} {
		for i := range of.list {
			if err := x.container(of.kind, &of.list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *filing) container(list string, c *corev1.Container) error {
	var env, mounts []any
	mounted := map[string]bool{}
	for i := range c.EnvFrom {
		x.whole = x.whole || c.EnvFrom[i].SecretRef != nil
	}
	for i := range c.Env {
		name := c.Env[i].Name
		ref, err := x.of(&c.Env[i])
		if err != nil {
			return err
		}
		if ref == nil {
			continue
		}
		x.moved++
		if x.inline {
			env = append(env, relocation.Variable(name, ref))
			continue
		}
		if err := usable(c, name); err != nil {
			return err
		}
		volume := x.volume(c.Name, ref).name
		env = append(env, map[string]any{"name": name, "$patch": "delete"}, map[string]any{"name": name + "_FILE", "value": folder + ref.Name + "/" + ref.Key})
		if !mounted[volume] {
			mounted[volume] = true
			mounts = append(mounts, map[string]any{"name": volume, "mountPath": folder + ref.Name, "readOnly": true})
		}
	}
	if len(env) == 0 {
		return nil
	}
	if x.containers == nil {
		x.containers = map[string][]any{}
	}
	one := map[string]any{"name": c.Name, "env": env}
	if len(mounts) > 0 {
		one["volumeMounts"] = mounts
	}
	x.containers[list] = append(x.containers[list], one)
	return nil
}

// usable refuses variables that others are made of or that commands read, or whose file's
// name is taken.
func usable(c *corev1.Container, name string) error {
	if in := reading(c, name); in != "" {
		return errs.Newf(errs.Unsupported, "container %s reads the variable in its %s, as $(%[3]s), $%[3]s or by its name: have the application, or that command, read the file, and call this again", c.Name, in, name)
	}
	if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name+"_FILE" }) {
		return errs.Newf(errs.Exist, "container %s has the variable %s_FILE already: take one of both out", c.Name, name)
	}
	at := func(m corev1.VolumeMount) bool { return strings.HasPrefix(m.MountPath+"/", folder) }
	if slices.ContainsFunc(c.VolumeMounts, at) {
		return errs.Newf(errs.Exist, "container %s mounts something below %s already", c.Name, folder)
	}
	return nil
}

// reading is where a container reads a variable beside its application; "" if nowhere.
func reading(c *corev1.Container, name string) string {
	quoted := regexp.QuoteMeta(name)
	// As Kubernetes and shells refer to it: $(NAME), $NAME, ${NAME}, ${#NAME}, ${NAME:-…}.
	reference := regexp.MustCompile(`\$[({]?[!#]?` + quoted + `(?:\W|$)`)
	// By its name alone: printenv NAME, environ["NAME"], env.NAME. Not --NAME, NAME=… and
	// what is part of a file's name.
	called := regexp.MustCompile(`(?:^|[^\w/-])` + quoted + `(?:[^\w=/.-]|$)`)
	if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return reference.MatchString(e.Value) }) {
		return "other variables"
	}
	for _, one := range commands(c) {
		if slices.ContainsFunc(one.words, func(text string) bool { return reference.MatchString(text) || called.MatchString(text) }) {
			return one.of
		}
	}
	return ""
}

// command is one that is run in a container.
type command struct {
	of    string
	words []string
}

func commands(c *corev1.Container) []command {
	out := []command{{"command", c.Command}, {"arguments", c.Args}}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && p.Exec != nil {
			out = append(out, command{"probes", p.Exec.Command})
		}
	}
	hooks := ptr.Deref(c.Lifecycle, corev1.Lifecycle{})
	for _, h := range []*corev1.LifecycleHandler{hooks.PostStart, hooks.PreStop} {
		if h != nil && h.Exec != nil {
			out = append(out, command{"lifecycle hooks", h.Exec.Command})
		}
	}
	return out
}

// volume returns the volume of a Secret for a container, in which the key is.
func (x *filing) volume(container string, ref *corev1.SecretKeySelector) *volume {
	at := use{container, ref.Name}
	v, ok := x.volumes[at]
	if !ok {
		v = &volume{name: x.free(ref.Name)}
		x.volumes[at], x.order = v, append(x.order, at)
	}
	switch optional := ref.Optional != nil && *ref.Optional; {
	case slices.Contains(v.must, ref.Key) || optional && slices.Contains(v.optional, ref.Key):
	case optional:
		v.optional = append(v.optional, ref.Key)
	default:
		v.must = append(v.must, ref.Key)
		v.optional = slices.DeleteFunc(v.optional, func(k string) bool { return k == ref.Key })
	}
	return v
}

// longest is how long a label may be.
const longest = 63

// free is a name for the volume of a Secret that no other volume has.
func (x *filing) free(secret string) string {
	base := "secret-" + strings.ReplaceAll(secret, ".", "-")
	cut := func(end string) string {
		return strings.TrimRight(base[:min(len(base), longest-len(end))], "-") + end
	}
	name := cut("")
	for n := 2; x.taken(name); n++ {
		name = cut(fmt.Sprintf("-%d", n))
	}
	return name
}

func (x *filing) taken(name string) bool {
	for _, v := range x.volumes {
		if v.name == name {
			return true
		}
	}
	return slices.ContainsFunc(x.spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
}

// body is the patch of the pod's spec.
func (x *filing) body() map[string]any {
	out := map[string]any{}
	for list, patches := range x.containers {
		out[list] = patches
	}
	var volumes []any
	for _, at := range x.order {
		volumes = append(volumes, x.volumes[at].of(at.secret))
	}
	if len(volumes) > 0 {
		out["volumes"] = volumes
	}
	return out
}

// of is v as a volume of a Secret: projected, where some keys may be missing and others
// not, since that is said of a whole source.
func (v *volume) of(secret string) map[string]any {
	const mode = 0o444
	one := source{secret, v.must, false}
	switch {
	case len(v.must) == 0:
		one = source{secret, v.optional, true}
	case len(v.optional) > 0:
		sources := []any{map[string]any{"secret": one.fields("name")}, map[string]any{"secret": source{secret, v.optional, true}.fields("name")}}
		return map[string]any{"name": v.name, "projected": map[string]any{"defaultMode": mode, "sources": sources}}
	}
	fields := one.fields("secretName")
	fields["defaultMode"] = mode
	return map[string]any{"name": v.name, "secret": fields}
}

// source are keys of a Secret as files.
type source struct {
	secret   string
	keys     []string
	optional bool
}

func (s source) fields(name string) map[string]any {
	var items []any
	for _, k := range s.keys {
		items = append(items, map[string]any{"key": k, "path": k})
	}
	out := map[string]any{name: s.secret, "items": items}
	if s.optional {
		out["optional"] = true
	}
	return out
}
