package vault

import (
	"net"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

var _ provider.Locator = (*store)(nil)

// Locate names a path of the API:
//
//	HOST:PORT/[NAMESPACE/]PATH
//
// such as "vault.example:8200/team/secret/data/x". A vault takes a namespace in
// the header or before the path, so both are one name. Names of one Kubernetes
// Service are one name; that two host names lead to one server is not known here.
func (s *store) Locate(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := []string{authority(s.settings.Server)}
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

// authority returns host and port of a server, and the path that it is served
// below, if there is one.
func authority(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "" // checkServer has parsed it
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if service, ok := strings.CutSuffix(host, ".svc.cluster.local"); ok {
		host = service + ".svc"
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.TrimSuffix(net.JoinHostPort(host, port)+"/"+strings.Trim(u.Path, "/"), "/")
}
