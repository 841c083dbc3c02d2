package vault

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// dataPath returns the path a key is read at, without "/v1/". With a mount, the
// key may or may not start with it, and for v2 with "data/" behind it; without
// one, the key's first segment is the mount and "data" is put behind it unless
// the key has it.
//
//	mount      key                        v2 path
//	secret     my-app/config              secret/data/my-app/config
//	secret     secret/data/my-app/config  secret/data/my-app/config
//	(none)     secret/my-app/config       secret/data/my-app/config
//	(none)     secret/data/my-app/config  secret/data/my-app/config
func dataPath(mount, version, key string) (string, error) {
	key = strings.Trim(key, "/")
	if err := checkSegments(key); err != nil {
		return "", err
	}
	if mount == "" {
		return pathInKey(version, key)
	}
	if rest, ok := strings.CutPrefix(key, mount+"/"); ok {
		key = rest
		if version == "v2" {
			key = strings.TrimPrefix(key, "data/")
		}
	}
	if version == "v2" {
		return mount + "/data/" + key, nil
	}
	return mount + "/" + key, nil
}

// paths returns where a key's data and metadata are.
func (s *store) paths(key string) (data, metadata string, err error) {
	data, err = dataPath(s.settings.Path, s.settings.Version, key)
	if err != nil || s.settings.Version == "v1" {
		return data, "", err
	}
	return data, metadataPath(s.settings.Path, data), nil
}

func pathInKey(version, key string) (string, error) {
	first, rest, ok := strings.Cut(key, "/")
	if !ok {
		return "", errs.Newf(errs.Invalid, "key %q has no mount: set spec.provider.vault.path, or write the key as mount/name", key)
	}
	// "data" further in stands behind a mount of several segments.
	if version == "v1" || strings.Contains(key, "/data/") {
		return key, nil
	}
	return first + "/data/" + rest, nil
}

// checkSegments refuses what would leave the mount or be read as another path.
func checkSegments(key string) error {
	for segment := range strings.SplitSeq(key, "/") {
		switch segment {
		case "":
			return errs.Newf(errs.Invalid, "key %q has an empty segment", key)
		case ".", "..":
			return errs.Newf(errs.Invalid, "key %q has a segment %q", key, segment)
		}
	}
	return nil
}

// metadataPath returns the v2 metadata path of a data path.
func metadataPath(mount, data string) string {
	if mount != "" {
		return mount + "/metadata/" + strings.TrimPrefix(data, mount+"/data/")
	}
	return strings.Replace(data, "/data/", "/metadata/", 1)
}
