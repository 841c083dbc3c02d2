package app

// Version is the program's semver and BuildDate when it was built, RFC 3339;
// the linker sets both. Clients parse the version and gate features on it.
var (
	Version   = "0.1.0"
	BuildDate = ""
)
