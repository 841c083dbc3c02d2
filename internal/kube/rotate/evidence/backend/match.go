package backend

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Match returns the backend's word on each pod. A session on the old credential
// is No, whatever else there is: a pod may hold both.
func Match(pods []consumer.Pod, seen target.Sessions) map[types.UID]evidence.Word {
	old, fresh := count(seen.Old), count(seen.New)
	owners := make(map[netip.Addr]int, len(pods))
	for i := range pods {
		if a, ok := address(pods[i].IP); ok {
			owners[a]++
		}
	}
	out := make(map[types.UID]evidence.Word, len(pods))
	for i := range pods {
		out[pods[i].UID] = word(&pods[i], owners, old, fresh, seen.Partial)
	}
	return out
}

func word(p *consumer.Pod, owners, old, fresh map[netip.Addr]int, partial string) evidence.Word {
	a, ok := address(p.IP)
	switch {
	case p.Cluster != "":
		return evidence.Word{Text: "addresses of another cluster may be those of others here, or be hidden by its border"}
	case !ok:
		return evidence.Word{Text: "the pod has no address yet"}
	case p.HostNetwork:
		return evidence.Word{Text: "it has its node's address, which others have too"}
	case owners[a] > 1:
		return evidence.Word{Text: fmt.Sprintf("%d pods have its address", owners[a])}
	case old[a] > 0:
		return evidence.Word{Answer: evidence.No, Text: sessions(old[a]) + " on the old credential from its address"}
	case fresh[a] > 0:
		return evidence.Word{Answer: evidence.Yes, Text: sessions(fresh[a]) + " on the new credential from its address"}
	case partial != "":
		return evidence.Word{Text: "no session from its address; the backend does not see all: " + partial}
	}
	return evidence.Word{Text: "no session from its address"}
}

func sessions(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

// count counts sessions by address; those without one are nobody's.
func count(list []target.Session) map[netip.Addr]int {
	out := make(map[netip.Addr]int, len(list))
	for _, s := range list {
		if a, ok := address(s.Address); ok {
			out[a]++
		}
	}
	return out
}

// address reads an IP address in any of its spellings: with a zone, or IPv4 in IPv6.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
