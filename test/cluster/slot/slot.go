package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
)

const (
	// count bounds how many clusters run at once; each has a /24 of a /16.
	count = 200
	// firstPort and what follows is below Linux' range for outgoing
	// connections (32768 and up), so that no client takes a port of ours.
	firstPort    = 20100
	portsPerSlot = 4
)

// Number is a cluster's number on this machine.
type Number int

// APIPort is where the API server listens.
func (n Number) APIPort() int { return firstPort + portsPerSlot*int(n) }

// EtcdPort is where etcd serves clients, on loopback.
func (n Number) EtcdPort() int { return n.APIPort() + 1 }

// EtcdPeerPort is where etcd would serve its peers, on loopback.
func (n Number) EtcdPeerPort() int { return n.APIPort() + 2 }

// HostIP is the host's end of the link between the host and the node.
func (n Number) HostIP() netip.Addr { return addr(213, n, 1) }

// NodeIP is the node's end of the link.
func (n Number) NodeIP() netip.Addr { return addr(213, n, 2) }

// Link is the subnet of HostIP and NodeIP.
func (n Number) Link() netip.Prefix { return netip.PrefixFrom(addr(213, n, 0), 30) }

// Pods is the subnet of the pods.
func (n Number) Pods() netip.Prefix { return netip.PrefixFrom(addr(214, n, 0), 24) }

// Services is the subnet of the Services; the API server is its first address.
func (n Number) Services() netip.Prefix { return netip.PrefixFrom(addr(215, n, 0), 24) }

// Device is the host's end of the veth to the node.
func (n Number) Device() string { return "skcluster" + strconv.Itoa(int(n)) }

// Cgroup is the parent of all cgroups of the node, below the root of each
// hierarchy.
func (n Number) Cgroup() string { return "strongkeep-cluster-" + strconv.Itoa(int(n)) }

func addr(second byte, n Number, last byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, second, byte(n), last})
}

// State is what is left in the file of a slot for the case that its holder is
// killed.
type State struct {
	Dir  string // of the cluster
	Temp bool   // Dir was made by us and is to be removed
}

// Slot is a number held by this process.
type Slot struct {
	Number
	lock *lock.Lock
}

// Take finds a free number whose ports and subnets nobody else on the machine
// uses.
func Take() (*Slot, error) {
	dir, err := registry()
	if err != nil {
		return nil, err
	}
	used, err := usedSubnets()
	if err != nil {
		return nil, err
	}
	// Beginning anywhere keeps users with different registries apart in the
	// moment between the test of a port and its use.
	start := rand.IntN(count)
	for i := range count {
		n := Number((start + i) % count)
		l, err := lock.Try(filepath.Join(dir, strconv.Itoa(int(n))))
		if errors.Is(err, lock.ErrHeld) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if note, err := l.Content(); err != nil || len(note) > 0 {
			l.Drop() // its holder was just killed: for Stale to see
			continue
		}
		if n.free(used) {
			return &Slot{Number: n, lock: l}, nil
		}
		l.Release()
	}
	return nil, fmt.Errorf("all %d cluster numbers are in use; see %s", count, dir)
}

// Stale takes the slots whose holders were killed. The caller cleans up after
// each and releases it.
func Stale() ([]*Slot, error) {
	dir, err := registry()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing clusters: %w", err)
	}
	var slots []*Slot
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		l, err := lock.Try(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		slots = append(slots, &Slot{Number: Number(n), lock: l})
	}
	return slots, nil
}

// Record notes the state of the cluster that holds the slot.
func (s *Slot) Record(st State) error {
	b, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	return s.lock.SetContent(b)
}

// State returns what the last holder recorded; zero if it got not that far.
func (s *Slot) State() State {
	var st State
	if b, err := s.lock.Content(); err == nil && json.Unmarshal(b, &st) != nil {
		return State{}
	}
	return st
}

// Drop gives up the number and leaves the note, for Stale to find again.
func (s *Slot) Drop() { s.lock.Drop() }

// Release gives up the number.
func (s *Slot) Release() { s.lock.Release() }

func (n Number) free(used []netip.Prefix) bool {
	for _, own := range []netip.Prefix{n.Link(), n.Pods(), n.Services()} {
		for _, p := range used {
			if p.Overlaps(own) {
				return false
			}
		}
	}
	for i := range portsPerSlot {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(n.APIPort()+i))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// registry is the directory of the slots' files: the same for all clusters of
// a user, whatever TMPDIR says.
func registry() (string, error) {
	uid := os.Getuid()
	dir := "/run/strongkeep-cluster"
	if uid != 0 {
		dir = "/tmp/strongkeep-cluster-" + strconv.Itoa(uid)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("making registry of clusters: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("looking at registry of clusters: %w", err)
	}
	// /tmp is everybody's: who could write there could have us remove any
	// directory it names.
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != uid || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("registry of clusters %q is not a directory that only you can write; remove it", dir)
	}
	return dir, nil
}

// usedSubnets lists the subnets of the host's devices and routes.
func usedSubnets() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	var used []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			used = append(used, p.Masked())
		}
	}
	b, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("reading routes: %w", err)
	}
	return append(used, parseRoutes(string(b))...), nil
}

// parseRoutes reads /proc/net/route: fields divided by tabs, of which the
// second is the destination and the eighth its mask, in little-endian
// hexadecimal. Default routes are left out: they overlap everything.
func parseRoutes(table string) []netip.Prefix {
	var routes []netip.Prefix
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		destination, err1 := strconv.ParseUint(f[1], 16, 32)
		mask, err2 := strconv.ParseUint(f[7], 16, 32)
		if err1 != nil || err2 != nil || mask == 0 {
			continue
		}
		ones, _ := net.IPv4Mask(byte(mask), byte(mask>>8), byte(mask>>16), byte(mask>>24)).Size()
		ip := netip.AddrFrom4([4]byte{
			byte(destination), byte(destination >> 8), byte(destination >> 16), byte(destination >> 24),
		})
		routes = append(routes, netip.PrefixFrom(ip, ones))
	}
	return routes
}
