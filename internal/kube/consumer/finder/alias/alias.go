// Package alias says what a vault is called in another cluster.
//
// Start reading at Alias.
package alias

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Alias says what locations of another cluster are in ours. A nil Alias, which is
// our own cluster's, changes none.
type Alias struct {
	Host         string // of the vault, as we name it
	wanted, path string
	hosts        []string // that mean Host; none: nobody has said which do
}

// New returns the Alias for who looks for the location wanted in c.
func New(wanted string, c consumer.Cluster) *Alias {
	a := &Alias{wanted: wanted}
	a.Host, a.path, _ = strings.Cut(wanted, "/")
	for _, server := range c.Servers {
		if host := provider.Authority(server); host != "" {
			a.hosts = append(a.hosts, host)
		}
	}
	return a
}

// Of returns location as our cluster names it.
func (a *Alias) Of(location string) string {
	if a == nil {
		return location
	}
	for _, host := range a.hosts {
		if rest, ok := strings.CutPrefix(location, host+"/"); ok {
			return a.Host + "/" + rest
		}
	}
	return location
}

// Doubt returns the host of a location that is the wanted one but for its host,
// where nobody has said whether the two are one; "" when there is none.
func (a *Alias) Doubt(location string) string {
	if a == nil || len(a.hosts) > 0 || location == a.wanted {
		return ""
	}
	if host, path, ok := strings.Cut(location, "/"); ok && path == a.path {
		return host
	}
	return ""
}

// Named reports whether somebody has said by which names the vault is meant.
func (a *Alias) Named() bool { return a == nil || len(a.hosts) > 0 }
