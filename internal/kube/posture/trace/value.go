package trace

import (
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Value is what is kept of a value that was read elsewhere than in a cluster, and is
// known by the name name: the fingerprints of it and its parts.
func Value(key *fingerprint.Key, field, name string, raw []byte) snapshot.Value {
	prints := key.Read(name, raw, func(_, name string, part []byte) bool { return looks.Of(name, part).Sensitive() })
	return snapshot.Value{Field: field, Size: len(raw), Prints: prints, Looks: looks.Of(name, raw)}
}
