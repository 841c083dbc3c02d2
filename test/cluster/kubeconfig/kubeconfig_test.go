package kubeconfig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

type written struct {
	Clusters []struct {
		Name    string
		Cluster struct {
			Server string
			CA     []byte `json:"certificate-authority-data"`
		}
	}
	Users []struct {
		User struct {
			Token string
			Cert  []byte `json:"client-certificate-data"`
			Key   []byte `json:"client-key-data"`
		}
	}
	Contexts []struct {
		Name    string
		Context struct{ Cluster, User, Namespace string }
	}
	CurrentContext string `json:"current-context"`
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, content)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, cert, key := file("ca"), file("cert"), file("key")

	byCert := write(t, Config{Server: "https://x:1", CAFile: ca, CertFile: cert, KeyFile: key})
	if u := byCert.Users[0].User; string(u.Cert) != "cert" || string(u.Key) != "key" || u.Token != "" {
		t.Errorf("user %+v", u)
	}
	if c := byCert.Clusters[0]; c.Cluster.Server != "https://x:1" || string(c.Cluster.CA) != "ca" {
		t.Errorf("cluster %+v", c)
	}
	if byCert.CurrentContext != byCert.Contexts[0].Name || byCert.Contexts[0].Context.Cluster != byCert.Clusters[0].Name {
		t.Errorf("names do not match: %+v", byCert)
	}
	byToken := write(t, Config{Server: "https://x:1", CAFile: ca, Token: "t", Namespace: "n"})
	if u := byToken.Users[0].User; u.Token != "t" || u.Cert != nil {
		t.Errorf("user %+v", u)
	}
	if byToken.Contexts[0].Context.Namespace != "n" {
		t.Errorf("context %+v", byToken.Contexts[0])
	}
	if err := Write(filepath.Join(dir, "k"), Config{CAFile: ca, CertFile: "/nonexistent"}); err == nil {
		t.Error("a missing certificate is not an error")
	}
}

func write(t *testing.T, c Config) written {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := Write(path, c); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var w written
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	return w
}
