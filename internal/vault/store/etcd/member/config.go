package member

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// Peer is a node of the list.
type Peer = peer.Node

// Config of a Member. Dir, Name, Peers and Key are needed.
type Config struct {
	Dir    string
	Name   string // of this node, in Peers
	Peers  []Peer // all nodes, this one too; in any order
	Listen string // HOST:PORT; default: the port of this node's URL, on all addresses
	Key    redact.Secret

	Quota     int64         // bytes of etcd's file; 0 = 8 GiB
	Keep      time.Duration // how long old revisions are kept; 0 = 10 minutes
	Tend      time.Duration // how often compaction and space are looked at; 0 = 5 minutes
	Heartbeat time.Duration // of etcd's leader; 0 = 100 ms. Elections take ten of them
	MaySnap   uint64        // entries between etcd's own snapshots; 0 = 10,000

	Log *slog.Logger     // nil = slog.Default()
	Now func() time.Time // nil = time.Now

	// Called before etcd reads its file, and before it defragments it; tests hold them there.
	starting, shrinking func()
}

const (
	defaultQuota = 8 << 30
	minDefrag    = 64 << 20 // a smaller file is not worth the pause
	maxOps       = 2 * store.MaxChanges
	// MaxPeers is how many nodes a cluster may have.
	MaxPeers = 9
)

func (c *Config) complete() error {
	if c.Quota <= 0 {
		c.Quota = defaultQuota
	}
	if c.MaySnap == 0 {
		c.MaySnap = 10_000
	}
	for d, v := range map[*time.Duration]time.Duration{&c.Keep: 10 * time.Minute, &c.Tend: 5 * time.Minute, &c.Heartbeat: 100 * time.Millisecond} {
		if *d <= 0 {
			*d = v
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dir == "" {
		return errs.New(errs.Invalid, "a member of the cluster needs a directory")
	}
	return c.checkPeers()
}

func (c *Config) checkPeers() error {
	if len(c.Peers) == 0 || len(c.Peers) > MaxPeers {
		return errs.Newf(errs.Invalid, "the list of the cluster has %d members, not 1 to %d", len(c.Peers), MaxPeers)
	}
	c.Peers = slices.Clone(c.Peers)
	slices.SortFunc(c.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	seen := map[string]bool{}
	for _, p := range c.Peers {
		if _, err := parseURL(p.URL); err != nil {
			return err
		}
		if p.Name == "" || strings.ContainsAny(p.Name, "=,/ ") || seen[p.Name] || seen[p.URL] {
			return errs.Newf(errs.Invalid, "the list of the cluster has the name %q or its address twice, or a name that is none", p.Name)
		}
		seen[p.Name], seen[p.URL] = true, true
	}
	if !seen[c.Name] {
		return errs.Newf(errs.Invalid, "the list of the cluster has no member %q, the name of this node", c.Name)
	}
	if c.Listen == "" {
		u, err := parseURL(c.own().URL)
		if err != nil {
			return err
		}
		c.Listen = ":" + u.Port()
	}
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return nil, errs.Newf(errs.Invalid, "a member of the cluster is reached at https://HOST:PORT, not at %.100q", text)
	}
	return u, nil
}

// hostOf is the name or address in the URL, which has been checked.
func hostOf(p Peer) string {
	u, err := parseURL(p.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// own is this node.
func (c *Config) own() Peer {
	return c.Peers[slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == c.Name })]
}

// others are the other nodes of the list.
func (c *Config) others() []Peer {
	return slices.DeleteFunc(slices.Clone(c.Peers), func(p Peer) bool { return p.Name == c.Name })
}

// list identifies the list, whatever its order was.
func (c *Config) list() string { return digest(c.Peers) }

// digest of what is told as JSON without loss.
func digest(all ...any) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(all) // of strings: never fails
	return hex.EncodeToString(h.Sum(nil))
}
