package remedy

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// folder is where Secrets are mounted that were variables.
const folder = "/var/run/strongkeep/secrets/"

// files makes files of variables that are keys of Secrets: NAME becomes NAME_FILE,
// with the path.
func files(w *World, o Options) (*Plan, error) {
	x := filing{spec: &w.Workload.Template.Spec, volumes: map[string]string{}}
	for kind, list := range map[string][]corev1.Container{"initContainers": x.spec.InitContainers, "containers": x.spec.Containers} {
		for i := range list {
			if err := x.container(kind, &list[i]); err != nil {
				return nil, err
			}
		}
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
	spec       *corev1.PodSpec
	containers map[string][]any // patches, by list
	volumes    map[string]string
	order      []string // of volumes, by Secret
	optional   map[string]bool
	moved      int
	whole      bool // there is an envFrom
}

func (x *filing) container(list string, c *corev1.Container) error {
	var env, mounts []any
	mounted := map[string]bool{}
	for i := range c.EnvFrom {
		x.whole = x.whole || c.EnvFrom[i].SecretRef != nil
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil || from.SecretKeyRef == nil {
			continue
		}
		name, ref := c.Env[i].Name, from.SecretKeyRef
		if err := usable(c, name); err != nil {
			return err
		}
		volume := x.volume(ref)
		env = append(env, map[string]any{"name": name, "$patch": "delete"}, map[string]any{"name": name + "_FILE", "value": folder + ref.Name + "/" + ref.Key})
		if !mounted[volume] {
			mounted[volume] = true
			mounts = append(mounts, map[string]any{"name": volume, "mountPath": folder + ref.Name, "readOnly": true})
		}
		x.moved++
	}
	if len(env) == 0 {
		return nil
	}
	if x.containers == nil {
		x.containers = map[string][]any{}
	}
	x.containers[list] = append(x.containers[list], map[string]any{"name": c.Name, "env": env, "volumeMounts": mounts})
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

// volume returns the name of the volume of a Secret.
func (x *filing) volume(ref *corev1.SecretKeySelector) string {
	if name, ok := x.volumes[ref.Name]; ok {
		x.optional[ref.Name] = x.optional[ref.Name] && ref.Optional != nil && *ref.Optional
		return name
	}
	if x.optional == nil {
		x.optional = map[string]bool{}
	}
	name := "secret-" + strings.ReplaceAll(ref.Name, ".", "-")
	if len(name) > 63 { // a label's length
		name = strings.TrimRight(name[:63], "-")
	}
	taken := func(v corev1.Volume) bool { return v.Name == name }
	for slices.ContainsFunc(x.spec.Volumes, taken) || used(x.volumes, name) {
		name = name[:min(len(name), 61)] + "-s"
	}
	x.volumes[ref.Name], x.order = name, append(x.order, ref.Name)
	x.optional[ref.Name] = ref.Optional != nil && *ref.Optional
	return name
}

func used(m map[string]string, name string) bool {
	for _, v := range m {
		if v == name {
			return true
		}
	}
	return false
}

// body is the patch of the pod's spec. Keys are all mounted: a new one is a new
// file.
func (x *filing) body() map[string]any {
	out := map[string]any{}
	for list, patches := range x.containers {
		out[list] = patches
	}
	var volumes []any
	for _, secret := range x.order {
		source := map[string]any{"secretName": secret, "defaultMode": 0o444}
		if x.optional[secret] {
			source["optional"] = true
		}
		volumes = append(volumes, map[string]any{"name": x.volumes[secret], "secret": source})
	}
	out["volumes"] = volumes
	return out
}
