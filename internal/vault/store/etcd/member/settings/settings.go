package settings

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// Storage is the kind of storage that Cluster is for.
const Storage = "cluster"

// Cluster is for Storage "cluster": servers that form an etcd cluster of their own
// (docs/operations/cluster.md).
type Cluster struct {
	// ClusterKeyFile has 32 bytes, as 64 hex digits, that all nodes share.
	ClusterKeyFile string `json:"cluster_key_file,omitempty"`
	// ClusterNode is this node's name in the cluster. Default: the host's.
	ClusterNode string `json:"cluster_node,omitempty"`
	// ClusterMembers are NAME=https://HOST:PORT, the same on each node.
	ClusterMembers []string `json:"cluster_members,omitempty"`
	// ClusterSize and ClusterService make the members of a StatefulSet instead: how many
	// replicas it has, and its headless Service. ClusterPort is theirs; default 8201.
	ClusterSize    int    `json:"cluster_size,omitempty"`
	ClusterService string `json:"cluster_service,omitempty"`
	ClusterPort    int    `json:"cluster_port,omitempty"`
	// ClusterListen is where this node listens for the others. Default: the port of its
	// address among the members, on all addresses.
	ClusterListen string `json:"cluster_listen,omitempty"`
	// ClusterQuota bounds the data, in bytes. Default 8 GiB.
	ClusterQuota int64 `json:"cluster_quota,omitempty"`
}

// What a StatefulSet's members listen on, and where in a server's directory a member lies.
const (
	defaultPort = 8201
	subDir      = "cluster"
)

// Config is that of a member in a server's directory.
func (c *Cluster) Config(dataDir string) (member.Config, error) {
	cfg := member.Config{Dir: filepath.Join(dataDir, subDir), Name: c.ClusterNode, Listen: c.ClusterListen, Quota: c.ClusterQuota}
	var err error
	if cfg.Name == "" {
		if cfg.Name, err = os.Hostname(); err != nil {
			return cfg, errs.Newf(errs.Invalid, "the host has no name (%w); set cluster_node", err)
		}
	}
	if cfg.Peers, err = c.peers(cfg.Name); err != nil {
		return cfg, err
	}
	if c.ClusterKeyFile == "" {
		return cfg, errs.New(errs.Invalid, "storage cluster needs cluster_key_file, the same on each node (make one with: openssl rand -hex 32 > cluster.key)")
	}
	cfg.Key, err = LoadKey(c.ClusterKeyFile, credential.Read)
	return cfg, err
}

func (c *Cluster) peers(name string) ([]member.Peer, error) {
	switch {
	case len(c.ClusterMembers) > 0 && (c.ClusterSize != 0 || c.ClusterService != ""):
		return nil, errs.New(errs.Invalid, "cluster_members and cluster_size are two ways to say the same: use one")
	case len(c.ClusterMembers) > 0:
		return ParsePeers(c.ClusterMembers)
	case c.ClusterService == "":
		return nil, errs.New(errs.Invalid, "storage cluster needs cluster_members, or cluster_size and cluster_service in a StatefulSet")
	}
	return SetPeers(name, c.ClusterSize, c.ClusterService, strconv.Itoa(cmp.Or(c.ClusterPort, defaultPort)))
}
