package node

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/strongkeep/strongkeep/test/cluster/build"
)

const containerdConfig = `version = 3
root = %q
state = "/run/containerd"

[grpc]
  address = %q

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = %q

[plugins.'io.containerd.cri.v1.runtime']
  # Without it, and without CAP_SYS_RESOURCE on the host, every sandbox fails.
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = [%q]
  conf_dir = %q
`

// writeConfigs writes what can be known before there is an API server.
func writeConfigs(s Spec) error {
	toml := fmt.Sprintf(containerdConfig, containerdDir, runtimeSocket, PauseImage, build.CNIPlugins, s.path("cni"))
	if err := os.WriteFile(s.path("containerd.toml"), []byte(toml), 0o600); err != nil {
		return fmt.Errorf("configuring containerd: %w", err)
	}
	if err := os.MkdirAll(s.path("cni"), 0o755); err != nil {
		return fmt.Errorf("configuring CNI: %w", err)
	}
	return writeJSON(s.path("cni/10-ptp.conflist"), map[string]any{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []any{
			map[string]any{
				"type": "ptp",
				"ipam": map[string]any{
					"type":   "host-local",
					"subnet": s.Number.Pods().String(),
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	})
}

func kubeletConfig(s Spec, c Credentials) map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": c.CAFile},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"tlsCertFile":              c.Serving.Cert,
		"tlsPrivateKeyFile":        c.Serving.Key,
		"address":                  s.Number.NodeIP().String(),
		"containerRuntimeEndpoint": "unix://" + runtimeSocket,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + s.Number.Cgroup(),
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"volumePluginDir":          kubeletDir + "/volumeplugins",
		"kubeAPIQPS":               1000,
		"kubeAPIBurst":             1000,
		"oomScoreAdj":              0, // lowering it needs CAP_SYS_RESOURCE
		// No DNS: lookups in pods fail at once instead of asking the host's
		// servers, which they cannot reach.
		"resolvConf": "",
		// Changes reach pods when they happen, not when a cache expires.
		"configMapAndSecretChangeDetectionStrategy": "Watch",
		"syncFrequency":             "1s",
		"nodeStatusUpdateFrequency": "2s",
		// The host's disk and memory are not ours to manage.
		"imageGCHighThresholdPercent": 100,
		"evictionHard": map[string]any{
			"memory.available": "1Mi", "nodefs.available": "1Mi", "nodefs.inodesFree": "1",
			"imagefs.available": "1Mi", "imagefs.inodesFree": "1",
		},
	}
}

func proxyConfig(s Spec, c Credentials) map[string]any {
	return map[string]any{
		"apiVersion":       "kubeproxy.config.k8s.io/v1alpha1",
		"kind":             "KubeProxyConfiguration",
		"clientConnection": map[string]any{"kubeconfig": c.ProxyKubeconfig},
		"hostnameOverride": Name,
		"mode":             "iptables",
		"iptables":         map[string]any{"minSyncPeriod": "100ms"},
		"clusterCIDR":      s.Number.Pods().String(),
		// Zeros leave the host's connection tracking as it is.
		"conntrack": map[string]any{
			"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
		},
	}
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %q: %w", path, err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("writing configuration: %w", err)
	}
	return nil
}
