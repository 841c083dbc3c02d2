package evidence

import (
	"strings"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Annotations on pods by which an application takes part in proving.
// docs/rotation/evidence.md has the protocol.
const (
	// AnnotationPath is where it answers, such as "/credential"; AnnotationPort on
	// which port of the pod's address, 8080 if there is none; AnnotationScheme
	// "http" (if there is none) or "https".
	AnnotationPath   = v1alpha1.Group + "/proof-path"
	AnnotationPort   = v1alpha1.Group + "/proof-port"
	AnnotationScheme = v1alpha1.Group + "/proof-scheme"
	// AnnotationVersion is what it writes itself on its own pod: "NS/NAME=VERSION"
	// for each Rotation, separated by commas.
	AnnotationVersion = v1alpha1.Group + "/credential-version"
)

// Declared returns the version that an application says in AnnotationVersion
// that it uses of a rotation ("namespace/name"); false if it says nothing.
func Declared(annotations map[string]string, rotation string) (version string, ok bool) {
	for part := range strings.SplitSeq(annotations[AnnotationVersion], ",") {
		name, version, found := strings.Cut(strings.TrimSpace(part), "=")
		if found && name == rotation && version != "" {
			return version, true
		}
	}
	return "", false
}
