package remedy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/relocation"
)

// folder is where Secrets are mounted that were variables.
const folder = "/var/run/strongkeep/secrets/"

// files makes files of variables that are keys of Secrets: NAME becomes NAME_FILE,
// with the path.
func files(w *World, o Options) (*Plan, error) {
	x := filing{spec: &w.Workload.Template.Spec, volumes: map[string]*volume{}, of: func(e *corev1.EnvVar) (*corev1.SecretKeySelector, error) {
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
			"the application must read the file that NAME_FILE names; whether it does is not known here",
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
	containers map[string][]any   // patches, by list
	volumes    map[string]*volume // by Secret
	order      []string           // of volumes, by Secret
	moved      int
	whole      bool // there is an envFrom
}

// volume is one of a Secret, with the keys that were variables and no others: those that
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
		volume := x.volume(ref).name
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

// usable refuses variables that others are made of, or whose file's name is taken.
func usable(c *corev1.Container, name string) error {
	use := "$(" + name + ")"
	inText := func(s string) bool { return strings.Contains(s, use) }
	if slices.ContainsFunc(c.Args, inText) || slices.ContainsFunc(c.Command, inText) || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return inText(e.Value) }) {
		return errs.Newf(errs.Unsupported, "container %s makes other variables or arguments of %s: have the application put them together of the file, and call this again", c.Name, use)
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

// volume returns the volume of a Secret, in which the key is.
func (x *filing) volume(ref *corev1.SecretKeySelector) *volume {
	v, ok := x.volumes[ref.Name]
	if !ok {
		v = &volume{name: x.free(ref.Name)}
		x.volumes[ref.Name], x.order = v, append(x.order, ref.Name)
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
	for _, secret := range x.order {
		volumes = append(volumes, x.volumes[secret].of(secret))
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
