package target

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// AnnotationVersions says which versions of which remote secrets a Secret was
// made of: a JSON object of location (provider.Locator) to version. It is written
// in the one apply that writes the data, so it is true of the data beside it at
// any instant. A Secret that several ExternalSecrets merge into has an annotation
// for each, versionsOfMerge and the name, which none takes from another.
const (
	AnnotationVersions = "strongkeep.io/versions"
	versionsOfMerge    = "versions.strongkeep.io/"
)

// maxVersions bounds the annotation in bytes; all annotations together may have
// 256 KiB. One that would be longer is left out: what a Secret holds is then not
// known, which holds a rotation and breaks nothing.
const maxVersions = 96 << 10

// VersionsKey is the annotation that s has its versions in.
func (s *Secret) VersionsKey() string {
	if !s.Merge {
		return AnnotationVersions
	}
	const longest = 63 // of an annotation's name
	name := strings.TrimPrefix(s.Manager, ManagerPrefix)
	if len(name) > longest {
		name = short(name)
	}
	return versionsOfMerge + name
}

// GeneratedKey is the annotation that s has its record of generated credentials in
// (internal/kube/generator/record).
func (s *Secret) GeneratedKey() string {
	if !s.Merge {
		return record.Annotation
	}
	return record.Prefix + strings.TrimPrefix(s.VersionsKey(), versionsOfMerge)
}

// SetGenerated makes s say what of it generators made; "" for nothing.
func (s *Secret) SetGenerated(text string) {
	delete(s.Annotations, s.GeneratedKey())
	if text == "" {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[s.GeneratedKey()] = text
}

// SetVersions makes s say what it was made of, as FormatVersions has it.
func (s *Secret) SetVersions(text string) {
	delete(s.Annotations, s.VersionsKey())
	if text == "" {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[s.VersionsKey()] = text
}

// FormatVersions returns the annotation's value, "" for nothing. Equal maps give
// equal texts. It is false when there is too much to say.
func FormatVersions(versions map[string]string) (string, bool) {
	if len(versions) == 0 {
		return "", true
	}
	text, err := json.Marshal(versions) // sorts the names
	if err != nil || len(text) > maxVersions {
		return "", false
	}
	return string(text), true
}

// AddVersion adds a version of a location. Where a Secret is made of several
// versions of one, they are all named, as "6,7", which is none of them.
func AddVersion(versions map[string]string, location, version string) {
	have, ok := versions[location]
	if !ok {
		versions[location] = version
		return
	}
	all := append(strings.Split(have, ","), strings.Split(version, ",")...)
	slices.Sort(all)
	versions[location] = strings.Join(slices.Compact(all), ",")
}

// Versions returns what the Secret with these annotations says it was made of,
// location to version. It is empty and not nil where there is nothing.
func Versions(annotations map[string]string) map[string]string {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !ourVersions(key) {
			continue
		}
		var one map[string]string
		if json.Unmarshal([]byte(annotations[key]), &one) != nil {
			continue
		}
		for location, version := range one {
			AddVersion(out, location, version)
		}
	}
	return out
}

func ourVersions(key string) bool {
	return key == AnnotationVersions || strings.HasPrefix(key, versionsOfMerge)
}
