package target

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// AnnotationChanged says which keys of a Secret changed their value when it came
// to the versions that AnnotationVersions names: a JSON object of location to
// Change. It is written in the same apply. Who merges has one of its own, as there.
const (
	AnnotationChanged = "strongkeep.io/changed"
	changedOfMerge    = "changed.strongkeep.io/"
)

// Change is what a Secret's coming to a version changed in it.
type Change struct {
	Version string `json:"version"`
	// Keys whose value is another one than with the version before, sorted. None, and
	// not Unsure: everything stayed as it was.
	Keys []string `json:"keys,omitempty"`
	// Unsure: what was there before is not known, since the Secret was made anew, or
	// was not as its writer had left it.
	Unsure bool `json:"unsure,omitempty"`
}

// ChangedKey is the annotation that s has its changes in.
func (s *Secret) ChangedKey() string {
	if !s.Merge {
		return AnnotationChanged
	}
	return changedOfMerge + strings.TrimPrefix(s.VersionsKey(), versionsOfMerge)
}

// SetChanges makes s say what changed; what is too long is left out, and then
// not known.
func (s *Secret) SetChanges(changes map[string]Change) {
	delete(s.Annotations, s.ChangedKey())
	text, err := json.Marshal(changes) // sorts the names
	if len(changes) == 0 || err != nil || len(text) > maxVersions {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[s.ChangedKey()] = string(text)
}

// NextChanges is what s says of its changes when it is written over live, which
// is nil where there is no Secret yet. sure: the data of live is what our last
// write left. What came to its version earlier keeps what was said then.
func (s *Secret) NextChanges(live *corev1.Secret, sure bool) map[string]Change {
	var before map[string]string
	var had map[string]Change
	if live != nil {
		before, had = parse[string](live.Annotations[s.VersionsKey()]), parse[Change](live.Annotations[s.ChangedKey()])
	}
	out := map[string]Change{}
	for location, version := range parse[string](s.Annotations[s.VersionsKey()]) {
		if before[location] != version {
			out[location] = s.change(live, version, sure)
		} else if c, ok := had[location]; ok && c.Version == version {
			out[location] = c
		}
	}
	return out
}

func (s *Secret) change(live *corev1.Secret, version string, sure bool) Change {
	c := Change{Version: version}
	if live == nil || !sure {
		c.Unsure = true
		return c
	}
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		if was, ok := live.Data[key]; !ok || !bytes.Equal(was, s.Data[key]) {
			c.Keys = append(c.Keys, key)
		}
	}
	return c
}

// Changes returns what the Secret with these annotations says of its changes, by
// location. Where several say something of one, what they say of one version is
// taken together, and of different ones nothing.
func Changes(annotations map[string]string) map[string]Change {
	out := map[string]Change{}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !ourChanges(key) {
			continue
		}
		for location, c := range parse[Change](annotations[key]) {
			have, ok := out[location]
			switch {
			case !ok:
			case have.Version != c.Version:
				c = Change{} // of no version
			default:
				c.Unsure = c.Unsure || have.Unsure
				c.Keys = slices.Concat(have.Keys, c.Keys)
			}
			slices.Sort(c.Keys)
			c.Keys = slices.Compact(c.Keys)
			out[location] = c
		}
	}
	return out
}

// parse reads an annotation; what is none of ours is empty.
func parse[T any](text string) map[string]T {
	var out map[string]T
	if text == "" || json.Unmarshal([]byte(text), &out) != nil {
		return nil
	}
	return out
}

func ourChanges(key string) bool {
	return key == AnnotationChanged || strings.HasPrefix(key, changedOfMerge)
}
