package awstest

import (
	"encoding/base64"
	"strings"
	"time"
)

// Registry is where the private container registry is.
const Registry = "https://123456789012.dkr.ecr." + Region + ".amazonaws.com"

// registryLogin gives logins to the private registry, a list of one, or to the
// public one. The password has the canary of KeySecret.
func (s *Server) registryLogin(target string) func(request) (any, *failure) {
	return func(request) (any, *failure) {
		login := map[string]any{
			"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + KeySecret + "-registry")),
			"expiresAt":          s.now().Add(12 * time.Hour).Unix(),
		}
		if strings.HasPrefix(target, "SpencerFrontendService.") {
			return map[string]any{"authorizationData": login}, nil
		}
		login["proxyEndpoint"] = Registry
		return map[string]any{"authorizationData": []any{login}}, nil
	}
}
