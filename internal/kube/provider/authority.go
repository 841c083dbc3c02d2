package provider

import (
	"net"
	"net/url"
	"strings"
)

// Authority returns host and port of a server, and the path that it is served
// below, if there is one: what locations begin with. Names of one Kubernetes
// Service are one name. "" when server is no address.
func Authority(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return ""
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
