package configure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const flag = "--encryption-provider-config="

// mounted says what keeps the API server's static pod from seeing the file as it
// changes, and the plugin's socket. A pod that mounts the file itself sees the old one
// for ever: a new one is another file of the same name.
func mounted(cfg *Config) error {
	if cfg.Manifest == "" {
		return nil
	}
	pod, err := readPod(cfg.Manifest)
	if pod == nil || err != nil {
		return err
	}
	named := argument(&pod.Spec.Containers[0])
	if named == "" {
		return errs.Newf(errs.NotExist, "manifest %s: the API server has no flag: add %s%s and --encryption-provider-config-automatic-reload=true, and mount that directory", cfg.Manifest, flag, cfg.File)
	}
	host, whole := onHost(pod, named)
	switch {
	case host == "":
		return errs.Newf(errs.Invalid, "manifest %s: %s%s is in no hostPath volume of the pod: mount the directory of %s", cfg.Manifest, flag, named, cfg.File)
	case host != cfg.File:
		return errs.Newf(errs.Invalid, "manifest %s: the API server reads %s of this node, and not %s: name it with -file", cfg.Manifest, host, cfg.File)
	case whole:
		return errs.Newf(errs.Invalid, "manifest %s: the pod mounts the file %s itself, and would never see a new one: mount its directory", cfg.Manifest, cfg.File)
	}
	if cfg.Goal.Back || cfg.From != "" {
		return nil
	}
	if host, _ := onHost(pod, cfg.Goal.Socket); host != cfg.Goal.Socket {
		return errs.Newf(errs.Invalid, "manifest %s: the plugin's socket %s is not at the same place in the pod: mount the directory %s there", cfg.Manifest, cfg.Goal.Socket, filepath.Dir(cfg.Goal.Socket))
	}
	return nil
}

// readPod reads a manifest; nil if it is not there.
func readPod(manifest string) (*corev1.Pod, error) {
	raw, err := os.ReadFile(manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var pod corev1.Pod
	if err == nil {
		err = yaml.Unmarshal(raw, &pod)
	}
	if err != nil || len(pod.Spec.Containers) == 0 {
		return nil, errs.Newf(errs.Invalid, "manifest %s: it cannot be read as a pod: name the API server's with -manifest", manifest)
	}
	return &pod, nil
}

func argument(c *corev1.Container) string {
	for _, arg := range append(append([]string{}, c.Command...), c.Args...) {
		if path, ok := strings.CutPrefix(arg, flag); ok {
			return path
		}
	}
	return ""
}

// onHost is where a path of the pod lies on the node, "" if nowhere, and whether it is
// mounted by itself and not in its directory.
func onHost(pod *corev1.Pod, path string) (host string, whole bool) {
	longest := -1
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		at := filepath.Clean(m.MountPath)
		rest, below := strings.CutPrefix(path, strings.TrimSuffix(at, "/"))
		if !below || rest != "" && rest[0] != '/' || len(at) <= longest {
			continue
		}
		for _, v := range pod.Spec.Volumes {
			if v.Name == m.Name && v.HostPath != nil {
				longest, host, whole = len(at), filepath.Join(v.HostPath.Path, m.SubPath, rest), rest == ""
			}
		}
	}
	return host, whole
}
