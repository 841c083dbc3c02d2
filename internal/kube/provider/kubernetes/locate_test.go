package kubernetes

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// A place is told by the server and the namespace, however a store names them.
func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		where, namespace, key, want string
	}{
		"a Secret":           {"https://10.0.0.1:6443", "shop", "db", "10.0.0.1:6443/api/v1/namespaces/shop/secrets/db"},
		"the same":           {"https://10.0.0.1:6443/", "shop", "db", "10.0.0.1:6443/api/v1/namespaces/shop/secrets/db"},
		"without a port":     {"https://Cluster.example", "shop", "db", "cluster.example:443/api/v1/namespaces/shop/secrets/db"},
		"a server below":     {"https://proxy.example/k8s/one", "shop", "db", "proxy.example:443/k8s/one/api/v1/namespaces/shop/secrets/db"},
		"another namespace":  {"https://10.0.0.1:6443", "default", "db", "10.0.0.1:6443/api/v1/namespaces/default/secrets/db"},
		"no name":            {"https://10.0.0.1:6443", "shop", "", ""},
		"more than a Secret": {"https://10.0.0.1:6443", "shop", "../../other/secrets/db", ""},
	} {
		if at := (&store{where: c.where, namespace: c.namespace}).LocateKey(c.key); at != c.want {
			t.Errorf("%s: at %q, want %q", name, at, c.want)
		}
	}
	want := provider.Authority(testREST.Host) + "/api/v1/namespaces/shop/secrets/db"
	for _, server := range []string{"", "kubernetes.default", "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local:443", testREST.Host} {
		st := mustOpen(t, own(), nil, `{"server":{"url":"`+server+`"},"auth":{"serviceAccount":{"name":"x"}},"remoteNamespace":"shop"}`)
		if at := st.LocateKey("db"); at != want {
			t.Errorf("the operator's own server as %q: at %q, want %q", server, at, want)
		}
	}
}
