package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kms/conform"
)

// flag that names the EncryptionConfiguration.
const flag = "--encryption-provider-config"

// apiServer looks at the flags of the API server's static pod, and at what they name.
func (v *visit) apiServer() {
	const question = "the API server uses the plugin"
	if v.cfg.Manifest == "" {
		return
	}
	raw, err := os.ReadFile(v.cfg.Manifest)
	if errors.Is(err, fs.ErrNotExist) {
		v.bad(conform.Warn, question, fmt.Errorf("not looked at: there is no %s", v.cfg.Manifest), "name the API server's manifest with -manifest")
		return
	}
	var pod corev1.Pod
	if err == nil {
		err = yaml.Unmarshal(raw, &pod)
	}
	if err != nil {
		v.bad(conform.Fail, question, err, "correct "+v.cfg.Manifest)
		return
	}
	flags := flagsOf(&pod)
	file := flags[flag]
	if file == "" {
		v.bad(conform.Fail, question, fmt.Errorf("it has no flag %s: nothing that it writes is encrypted", flag), "add "+flag+"=/etc/kubernetes/encryption.yaml (docs/encryption.md)")
		return
	}
	if flags[flag+"-automatic-reload"] != "true" {
		v.bad(conform.Warn, "the API server reloads its configuration", fmt.Errorf("it has no flag %s-automatic-reload=true: each change needs a restart", flag), "add "+flag+"-automatic-reload=true to "+v.cfg.Manifest)
	}
	if err := v.uses(hostPath(&pod, file)); err != nil {
		v.bad(conform.Fail, question, err, "correct "+file+" (docs/encryption.md)")
		return
	}
	v.ok(question, "%s names its socket", file)
}

// uses reports why the EncryptionConfiguration does not name our socket as it should.
func (v *visit) uses(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c apiserverv1.EncryptionConfiguration
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return fmt.Errorf("%s is no EncryptionConfiguration", file) // an error may quote keys that are in it
	}
	endpoint := "unix://" + v.config.Socket
	there := false
	for _, r := range c.Resources {
		for i, p := range r.Providers {
			switch {
			case !at(p, endpoint):
				continue
			case p.KMS.APIVersion != "v2":
				return fmt.Errorf("in %s provider %q is of API version %q: set apiVersion: v2", file, p.KMS.Name, p.KMS.APIVersion)
			case i > 0:
				return fmt.Errorf("in %s provider %q is not the first of %s: it reads what is encrypted, and writes nothing", file, p.KMS.Name, strings.Join(r.Resources, ", "))
			}
			there = true
		}
	}
	secrets := entry(c.Resources)
	switch {
	case !there:
		return fmt.Errorf("no provider in %s has endpoint %s", file, endpoint)
	case secrets == nil:
		return fmt.Errorf("no entry of %s is for secrets: they are written in the clear", file)
	case len(secrets.Providers) == 0 || !at(secrets.Providers[0], endpoint):
		return fmt.Errorf("in %s the first provider of %s does not have endpoint %s: secrets are not written with the plugin", file, strings.Join(secrets.Resources, ", "), endpoint)
	}
	return nil
}

func at(p apiserverv1.ProviderConfiguration, endpoint string) bool {
	return p.KMS != nil && p.KMS.Endpoint == endpoint
}

// entry returns what API servers take for secrets, nil for none: a name goes before
// the wildcard of its group, and that before the one of all groups.
func entry(all []apiserverv1.ResourceConfiguration) *apiserverv1.ResourceConfiguration {
	for _, name := range []string{"secrets", "*.", "*.*"} {
		for i := range all {
			if slices.Contains(all[i].Resources, name) {
				return &all[i]
			}
		}
	}
	return nil
}

// flagsOf reads --name=value of all containers.
func flagsOf(pod *corev1.Pod) map[string]string {
	flags := map[string]string{}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		for _, arg := range append(append([]string{}, c.Command...), c.Args...) {
			if name, value, ok := strings.Cut(arg, "="); ok {
				flags[name] = value
			}
		}
	}
	return flags
}

// hostPath is where a file of the pod's lies on the machine.
func hostPath(pod *corev1.Pod, file string) string {
	for i := range pod.Spec.Containers {
		for _, m := range pod.Spec.Containers[i].VolumeMounts {
			rest, below := strings.CutPrefix(file, strings.TrimSuffix(m.MountPath, "/"))
			if !below || rest != "" && rest[0] != '/' {
				continue
			}
			for _, volume := range pod.Spec.Volumes {
				if volume.Name == m.Name && volume.HostPath != nil {
					return volume.HostPath.Path + rest
				}
			}
		}
	}
	return file
}
