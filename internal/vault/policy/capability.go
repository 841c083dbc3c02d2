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

// didYouMean returns ` (did you mean "x"?)` for the candidate nearest to word,
// "" if none is near.
func didYouMean(word string, candidates []string) string {
	best, bestAt := "", 3
	if len(word) > 64 {
		return ""
	}
	word = strings.ToLower(word)
	for _, c := range candidates {
		if d := distance(word, c); d < bestAt && d < len(c) {
			best, bestAt = c, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
