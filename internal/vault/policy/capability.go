package policy

import "strings"

// Capability is a set of things that a rule allows on its paths.
type Capability uint16

// The capabilities. Deny clears all others. Scan is OpenBao's recursive list:
// it is understood in policies and looked up like List.
const (
	Create Capability = 1 << iota
	Read
	Update
	Delete
	List
	Patch
	Scan
	Sudo
	Deny
)

// operations are the capabilities that a request can want.
const operations = Create | Read | Update | Delete | List | Patch | Scan

// capabilityNames is in the order of the names, which sys/capabilities answers in.
var capabilityNames = [...]struct {
	bit  Capability
	name string
}{
	{Create, "create"}, {Delete, "delete"}, {Deny, "deny"}, {List, "list"}, {Patch, "patch"},
	{Read, "read"}, {Scan, "scan"}, {Sudo, "sudo"}, {Update, "update"},
}

// legacy maps the values of the old `policy = "…"` key. Like Vault's, "write"
// is older than patch and does not grant it.
var legacy = map[string]Capability{
	"deny":  Deny,
	"read":  Read | List,
	"write": Create | Read | Update | Delete | List,
	"sudo":  Create | Read | Update | Delete | List | Sudo,
}

// Names returns the names of the set, sorted.
func (c Capability) Names() []string {
	names := make([]string, 0, len(capabilityNames))
	for _, n := range capabilityNames {
		if c&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// String returns the names joined by commas, "none" for the empty set.
func (c Capability) String() string {
	if c == 0 {
		return "none"
	}
	return strings.Join(c.Names(), ",")
}

// capabilityNamed returns 0 for a name that is none.
func capabilityNamed(name string) Capability {
	for _, n := range capabilityNames {
		if n.name == name {
			return n.bit
		}
	}
	return 0
}
