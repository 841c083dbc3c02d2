package kubernetes

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Locate names what is at a path of the API server:
//
//	HOST:PORT/api/v1/namespaces/NAMESPACE/secrets/NAME
//
// The operator's own API server is one name, however a store names it; that two other
// addresses lead to one server is not known here.
func (s *store) Locate(path string) string {
	return provider.Authority(s.where) + "/" + strings.Trim(path, "/")
}

// LocateKey implements provider.Locator.
func (s *store) LocateKey(key string) string {
	if checkName(key) != nil {
		return ""
	}
	return s.Locate("api/v1/namespaces/" + s.namespace + "/secrets/" + key)
}
