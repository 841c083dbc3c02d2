package unsealed

import "strings"

// lower is the canonical spelling of the lab's "twice" paths.
func lower(path string) string { return strings.ToLower(path) }
