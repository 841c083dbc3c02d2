package vault

import (
	"encoding/json"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

var (
	_ provider.Locator = (*store)(nil)
	_ provider.Holder  = (*store)(nil)
	_ provider.Placer  = Provider{}
)

// Place implements provider.Placer.
func (Provider) Place(settings json.RawMessage, key string) (string, error) {
	var known struct{ Server, Path, Version, Namespace string }
	if err := json.Unmarshal(settings, &known); err != nil {
		return "", errs.New(errs.Invalid, "spec.provider.vault cannot be read")
	}
	s := store{settings: Settings{Server: known.Server, Path: known.Path, Version: known.Version, Namespace: known.Namespace}}
	if err := s.settings.normalise(); err != nil {
		return "", errs.Newf(errs.KindOf(err), "spec.provider.vault: %w", err)
	}
	return s.LocateKey(key), nil
}

// Locate names a path of the API:
//
//	HOST:PORT/[NAMESPACE/]PATH
//
// such as "vault.example:8200/team/secret/data/x". A vault takes a namespace in
// the header or before the path, so both are one name. Names of one Kubernetes
// Service are one name; that two host names lead to one server is not known here.
func (s *store) Locate(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := []string{provider.Authority(s.settings.Server)}
	for _, part := range []string{s.settings.Namespace, path} {
		if part = strings.Trim(part, "/"); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

// LocateKey names what a key is read at.
func (s *store) LocateKey(key string) string {
	path, err := dataPath(s.settings.Path, s.settings.Version, key)
	if err != nil {
		return ""
	}
	return s.Locate(path)
}
