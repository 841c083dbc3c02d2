package app

import "strings"

// APIVersion is the version of the Vault API that is served. Clients gate
// features on what sys/seal-status says; see docs/adr/0005-namespaces.md.
const APIVersion = "1.20.0"

// apiVersion is APIVersion with the program's own as build metadata, which
// compares as equal (semver 2.0.0, 10).
func apiVersion() string { return APIVersion + "+strongkeep." + strings.ReplaceAll(Version, "+", ".") }

// Version is the program's semver and BuildDate when it was built, RFC 3339;
// the linker sets both. See APIVersion for what clients gate features on.
var (
	Version   = "0.1.0"
	BuildDate = ""
)
