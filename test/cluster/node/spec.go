package node

import (
	"path/filepath"

	"github.com/strongkeep/strongkeep/test/cluster/pki"
	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

// Name is the name of the node in every cluster.
const Name = "node"

// PauseImage holds the sandboxes of pods open.
const PauseImage = "localhost/pause:1"

// Places in the mount namespace of the node, those of an ordinary node, so that
// manifests that mount them work.
const (
	kubeletDir    = "/var/lib/kubelet"
	containerdDir = "/var/lib/containerd"
	podLogDir     = "/var/log/pods"
	runtimeSocket = "/run/containerd/containerd.sock"
)

// Spec is the first thing Init reads: what the runtime needs.
type Spec struct {
	Programs map[string]string // paths by name
	State    string            // of the cluster: to be seen in the node as on the host
	Dir      string            // the node's part of it
	LogDir   string            // the logs' part of it
	Number   slot.Number
}

// Credentials is the second: what it takes to join, once there is an API
// server.
type Credentials struct {
	CAFile            string
	Serving           pki.Pair // the kubelet's
	KubeletKubeconfig string
	ProxyKubeconfig   string
}

// path is a file of the node's state.
func (s Spec) path(name string) string { return filepath.Join(s.Dir, name) }
