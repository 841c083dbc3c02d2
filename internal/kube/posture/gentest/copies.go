package gentest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Copies plants copies of n passwords, one each in one other object or several: a
// Secret of another team, a ConfigMap with a connection string, a literal of a
// workload, a Helm release, a repository, and the annotation that kubectl leaves,
// which is in the same object.
func Copies(n int) Plant {
	return func(g *Cluster) {
		step := max(1, len(g.Secrets)/n)
		for i := range n {
			if at := i * step; at < len(g.passwords) {
				g.copies(i, at)
			}
		}
	}
}

// copies plants those of the i-th, the Secret at.
func (g *Cluster) copies(i, at int) {
	from := &g.Secrets[at]
	name := path.Name{Namespace: from.Namespace, Name: from.Name}
	password := g.passwords[name]
	c := Copied{Secret: name, Holders: []snapshot.Ref{{Kind: "Secret", Namespace: name.Namespace, Name: name.Name}}}
	g.annotate(from, password)
	for kind := range 5 {
		if (i>>kind)&1 == 1 || i%5 == kind {
			c.Holders = append(c.Holders, g.copy(kind, i, password))
		}
	}
	g.Truth.Copies = append(g.Truth.Copies, c)
}

// annotate adds what kubectl apply leaves.
func (g *Cluster) annotate(s *snapshot.Secret, password string) {
	text, err := json.Marshal(map[string]any{"kind": "Secret", "data": map[string]string{"password": base64.StdEncoding.EncodeToString([]byte(password))}})
	if err != nil {
		panic(err) // strings marshal
	}
	s.Values = append(s.Values, g.Value("metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]", string(text), ""))
}

// copy plants one copy and says which object holds it.
func (g *Cluster) copy(kind, i int, password string) snapshot.Ref {
	ns, name := g.Namespaces[(i*7+kind)%len(g.Namespaces)].Name, fmt.Sprintf("copy%04d", i)
	meta := snapshot.Meta{Namespace: ns, Name: name, Created: Now()}
	switch kind {
	case 0:
		g.Secrets = append(g.Secrets, snapshot.Secret{Meta: meta, Read: true, Type: "Opaque", Keys: []string{"DB_PASS"}, Values: []snapshot.Value{g.Value("data.DB_PASS", password, snapshot.LooksNamed)}})
		g.readsCopy(path.Name{Namespace: ns, Name: name})
		return snapshot.Ref{Kind: "Secret", Namespace: ns, Name: name}
	case 1:
		text := "log:\n  level: information\ndatabase:\n  password: " + password + "\n  host: " + commonHost + "\n"
		g.ConfigMaps = append(g.ConfigMaps, snapshot.ConfigMap{Meta: meta, Keys: []string{"app.yaml"}, Values: []snapshot.Value{g.Value("data.app.yaml", text, "")}})
		return snapshot.Ref{Kind: "ConfigMap", Namespace: ns, Name: name}
	case 2:
		template := snapshot.Template{Account: "default", Values: []snapshot.Value{g.Value("spec.containers[app].env[DATABASE_URL]", connection(password), snapshot.LooksURL), g.Value("spec.containers[app].env[REGION]", commonRegion, "")}}
		g.Workloads = append(g.Workloads, snapshot.Workload{Meta: meta, Group: "apps", Kind: "Deployment", Template: template})
		return snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: ns, Name: name}
	case 3:
		meta.Name = fmt.Sprintf("sh.helm.release.v1.chart%04d.v1", i)
		text := `{"database":{"password":"` + password + `","user":"` + commonUser + `"},"region":"` + commonRegion + `"}`
		g.Secrets = append(g.Secrets, snapshot.Secret{
			Meta: meta, Read: true, Type: "helm.sh/release.v1", Keys: []string{"release"}, Values: []snapshot.Value{g.Value("data.release", g.word(200), snapshot.LooksRandom), g.Value("release.config", text, "")},
			Release: &snapshot.Release{Name: fmt.Sprintf("chart%04d", i), Revision: 1},
		})
		g.readsCopy(path.Name{Namespace: ns, Name: meta.Name})
		return snapshot.Ref{Kind: "Secret", Namespace: ns, Name: meta.Name}
	}
	if len(g.Repos) == 0 {
		g.Repos = []snapshot.Repo{{Place: "git/platform", Git: true}}
	}
	leak := snapshot.Leak{Commit: fmt.Sprintf("%040x", i), File: fmt.Sprintf("deploy/%04d.env", i), Line: 3, Value: g.Value("line 3", password, snapshot.LooksNamed)}
	g.Repos[0].Leaks = append(g.Repos[0].Leaks, leak)
	return snapshot.Ref{Kind: "File", Name: "git/platform/" + leak.File}
}

// readsCopy says of a Secret that was planted that nothing uses it.
func (g *Cluster) readsCopy(name path.Name) { g.Truth.Unused = append(g.Truth.Unused, name) }
