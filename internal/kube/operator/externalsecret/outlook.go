package externalsecret

import (
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// Current reports whether the status of es is of its spec, labels and annotations
// as they are: it was refreshed since they changed last. sure is false when another
// operator wrote the status, who has its own way to say so.
func Current(es *v1.ExternalSecret) (current, sure bool) {
	have, want := es.Status.SyncedResourceVersion, syncedVersion(es)
	_, digest, _ := strings.Cut(have, "-")
	_, own, _ := strings.Cut(want, "-")
	return have == want, len(digest) == len(own)
}
