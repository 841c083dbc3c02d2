package gentest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Config is how large a cluster is. Numbers are of the whole cluster.
type Config struct {
	Seed         uint64
	Teams        int
	Environments []string
	Services     int // each is in every environment
	Secrets      int
	Pods         int
	Roles        int
	Bindings     int
	// Sound makes a cluster without a fault, as far as the checks know any. Without it each
	// Secret is made by hand, and nothing is known of the control plane.
	Sound bool
	// Plants are run over the cluster when it stands.
	Plants []Plant
}

// Plant puts something into a cluster and writes down the truth of it.
type Plant func(*Cluster)

// Large is the cluster that bounds are promised for.
func Large() Config {
	return Config{Seed: 1, Teams: 15, Environments: []string{"dev", "test", "stage", "prod"}, Services: 200, Secrets: 10_000, Pods: 5_000, Roles: 2_000, Bindings: 3_000, Plants: []Plant{Copies(300), People}}
}

// Small is one for tests that look at every Secret.
func Small() Config {
	return Config{Seed: 2, Teams: 3, Environments: []string{"dev", "prod"}, Services: 12, Secrets: 300, Pods: 120, Roles: 80, Bindings: 120, Plants: []Plant{Copies(40), People}}
}

// Now is when every generated cluster was looked at.
func Now() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// Service is one service in one environment.
type Service struct {
	Name, Team, Environment string
	Namespace               string
	Secrets                 []string // in order; the last is used by nothing
	Nodes                   []string // of its pods, each once, in order
}

// Cluster is a generated cluster and the truth about it.
type Cluster struct {
	*snapshot.Snapshot
	Key      *fingerprint.Key
	Services []Service
	Truth    Truth

	config Config
	rand   *rand.Rand
	// passwords and tokens by Secret, for copies of them, and for who makes the Secrets.
	passwords, tokens map[path.Name]string
}

// Truth is what was planted.
type Truth struct {
	// Copies are the credentials that are at more than one place.
	Copies []Copied
	// Unused are the Secrets that nothing uses.
	Unused []path.Name
	// Faults are those that were planted into a cluster that is sound otherwise.
	Faults []Fault
	// Readers are all who get at a Secret by itself, by none of its copies.
	Readers map[path.Name]map[access.Subject]bool
}

// Copied is one credential and the objects that hold it, in the order of Ref.String.
type Copied struct {
	Secret  path.Name // the one it was copied from
	Holders []snapshot.Ref
}

// New makes a cluster.
func New(c Config) *Cluster {
	key, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
	if err != nil {
		panic(err) // the key has the size
	}
	g := &Cluster{
		Snapshot: &snapshot.Snapshot{Source: "generated", Taken: Now(), Live: true, Key: key.ID(), Coverage: snapshot.Coverage{}, Served: map[string]bool{}},
		Key:      key, config: c, rand: rand.New(rand.NewPCG(c.Seed, 6)), passwords: map[path.Name]string{}, tokens: map[path.Name]string{},
		Truth: Truth{Readers: map[path.Name]map[access.Subject]bool{}},
	}
	for _, r := range []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "secrets", "secrets/values", "pods", "resources", "configmaps", "namespaces", "serviceaccounts", "workloads", "uses", "sources", "stores", "repos"} {
		g.Coverage[r] = snapshot.Gap{}
	}
	g.namespaces()
	for i := range c.Services {
		for _, environment := range c.Environments {
			g.service(i, environment)
		}
	}
	g.fill()
	if c.Sound {
		g.sound()
	}
	for _, plant := range c.Plants {
		plant(g)
	}
	g.order()
	return g
}

// podSecurity is the label that keeps pods of a namespace from their nodes.
const podSecurity = "pod-security.kubernetes.io/enforce"

func (g *Cluster) namespaces() {
	for t := range g.config.Teams {
		for _, environment := range g.config.Environments {
			team := fmt.Sprintf("team%02d", t)
			g.Namespaces = append(g.Namespaces, snapshot.Namespace{Meta: snapshot.Meta{Name: team + "-" + environment, Labels: map[string]string{"team": team, "environment": environment, podSecurity: "baseline"}}})
		}
	}
}

// share is the i-th of n parts of all.
func share(all, i, n int) int { return all*(i+1)/n - all*i/n }

// service makes one service in one environment: its Secrets, its workload, its
// pods, and the Role by which it reads its own Secrets.
func (g *Cluster) service(i int, environment string) {
	team := fmt.Sprintf("team%02d", i%g.config.Teams)
	s := Service{Name: fmt.Sprintf("svc%03d", i), Team: team, Environment: environment, Namespace: team + "-" + environment}
	at, all := len(g.Services), g.config.Services*len(g.config.Environments)
	for n := range share(g.config.Secrets, at, all) {
		s.Secrets = append(s.Secrets, fmt.Sprintf("%s-%d", s.Name, n))
	}
	g.Accounts = append(g.Accounts, snapshot.Account{Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name}})
	for _, name := range s.Secrets {
		g.secret(&s, name)
	}
	template := g.template(&s)
	workload := snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: s.Namespace, Name: s.Name}
	pods := share(g.config.Pods, at, all)
	g.Workloads = append(g.Workloads, snapshot.Workload{Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name, Labels: map[string]string{"app.kubernetes.io/name": s.Name}}, Group: "apps", Kind: "Deployment", Template: template, Replicas: int32(pods)})
	for n := range pods {
		node := fmt.Sprintf("node%02d", g.rand.IntN(60))
		g.Pods = append(g.Pods, snapshot.Pod{Meta: snapshot.Meta{Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", s.Name, n)}, Template: template, Node: node, Workload: workload, Phase: "Running"})
		if !slices.Contains(s.Nodes, node) {
			s.Nodes = append(s.Nodes, node)
		}
	}
	// A node has what its pods mount, and acts as their ServiceAccounts.
	for _, name := range s.Secrets {
		for _, node := range s.Nodes {
			g.reads(path.Name{Namespace: s.Namespace, Name: name}, access.User("system:node:"+node))
		}
	}
	g.role(s.Namespace, s.Name, access.ServiceAccount(s.Namespace, s.Name), rule("get", "", "secrets", s.Secrets...))
	for _, name := range s.Secrets {
		g.reads(path.Name{Namespace: s.Namespace, Name: name}, access.ServiceAccount(s.Namespace, s.Name))
	}
	if len(s.Secrets) > 0 {
		g.Truth.Unused = append(g.Truth.Unused, path.Name{Namespace: s.Namespace, Name: s.Secrets[len(s.Secrets)-1]})
	}
	g.Services = append(g.Services, s)
}

// reads writes down that who gets at a Secret.
func (g *Cluster) reads(secret path.Name, who access.Subject) {
	m := g.Truth.Readers[secret]
	if m == nil {
		m = map[access.Subject]bool{access.Group(access.Masters): true}
		g.Truth.Readers[secret] = m
	}
	m[who] = true
}

// template uses all Secrets of a service but the last: half by variables, half as files.
func (g *Cluster) template(s *Service) snapshot.Template {
	t := snapshot.Template{Account: s.Name, Containers: []snapshot.Container{{Name: "app", Image: "registry.example/" + s.Name + ":1"}}}
	for n, name := range s.Secrets {
		switch {
		case n == len(s.Secrets)-1:
		case n%2 == 0:
			t.Secrets = append(t.Secrets, consumer.Use{Kind: consumer.UseEnvFrom, Secret: name, Container: "app"})
		default:
			t.Secrets = append(t.Secrets, consumer.Use{Kind: consumer.UseVolume, Secret: name, Container: "app", Where: "/etc/" + name, Volume: name})
		}
	}
	return t
}

// What unrelated Secrets have in common here: names of users and hosts, settings.
const (
	commonUser   = "application_user"
	commonHost   = "db.internal.example:5432"
	commonRegion = "eu-central-1b"
)

// secret makes a Secret with a password, the same password in a connection string,
// a key, and things that say nothing.
func (g *Cluster) secret(s *Service, name string) {
	password, token := g.word(20), g.word(40)
	n := path.Name{Namespace: s.Namespace, Name: name}
	g.passwords[n], g.tokens[n] = password, token
	changed := Now().Add(-time.Duration(g.rand.IntN(400*24)) * time.Hour)
	made := snapshot.Secret{
		Meta: snapshot.Meta{
			Namespace: s.Namespace, Name: name, Created: changed.Add(-24 * time.Hour), Labels: map[string]string{"app.kubernetes.io/name": s.Name},
			Writers: []snapshot.Writer{{Manager: "kubectl-create", Operation: "Update", Time: changed, Content: true}},
		},
		Type: "Opaque", Read: true, Changed: changed,
		Keys: []string{"password", "region", "token", "url", "username"},
	}
	for _, v := range []struct {
		key, value string
		looks      snapshot.Looks
	}{
		{"password", password, snapshot.LooksNamed}, {"region", commonRegion, ""}, {"token", token, snapshot.LooksNamed},
		{"url", connection(password), snapshot.LooksURL}, {"username", commonUser, ""},
	} {
		made.Values = append(made.Values, g.Value("data."+v.key, v.value, v.looks))
	}
	g.Secrets = append(g.Secrets, made)
	g.reads(n, access.Group(access.Masters))
}

// Data is what a generated Secret holds, for who makes it in a real cluster.
func (g *Cluster) Data(secret path.Name) map[string]string {
	password := g.passwords[secret]
	return map[string]string{"password": password, "region": commonRegion, "token": g.tokens[secret], "url": connection(password), "username": commonUser}
}

func connection(password string) string {
	return "postgres://" + commonUser + ":" + password + "@" + commonHost + "/shop"
}

// Value is a value of a field as a snapshot has it.
func (g *Cluster) Value(field, value string, l snapshot.Looks) snapshot.Value {
	key := field[strings.LastIndexAny(field, ".[")+1:]
	prints := g.Key.Read(strings.TrimSuffix(key, "]"), []byte(value), func(_, key string, part []byte) bool { return looks.Of(key, part).Sensitive() })
	return snapshot.Value{Field: field, Prints: prints, Size: len(value), Looks: l}
}

const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

func (g *Cluster) word(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(letters[g.rand.IntN(len(letters))])
	}
	return b.String()
}

// fill adds Roles and bindings that give nobody a Secret, up to the numbers.
func (g *Cluster) fill() {
	verbs := []string{"get", "list", "watch"}
	for n := 0; len(g.RBAC.Roles) < g.config.Roles; n++ {
		ns := g.Namespaces[n%len(g.Namespaces)].Name
		harmless := rule("", "apps", "deployments", "")
		harmless.Verbs, harmless.ResourceNames = verbs, nil
		logs := harmless
		logs.APIGroups, logs.Resources = []string{""}, []string{"pods", "pods/log", "services", "endpoints"}
		g.role(ns, fmt.Sprintf("viewer%04d", n), access.Group(fmt.Sprintf("viewers-%d", n%40)), harmless, logs)
	}
	for n := 0; len(g.RBAC.RoleBindings)+len(g.RBAC.ClusterRoleBindings) < g.config.Bindings; n++ {
		r := &g.RBAC.Roles[len(g.RBAC.Roles)-1-n%(len(g.RBAC.Roles)/2)]
		if !strings.HasPrefix(r.Name, "viewer") {
			continue
		}
		g.bind(r.Namespace, fmt.Sprintf("%s-more%d", r.Name, n), r.Name, access.User(fmt.Sprintf("user%03d", n%300)))
	}
}

// order puts everything into the order that snapshots have.
func (g *Cluster) order() {
	by := func(a, b *snapshot.Meta) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	}
	slices.SortFunc(g.Secrets, func(a, b snapshot.Secret) int { return by(&a.Meta, &b.Meta) })
	slices.SortFunc(g.ConfigMaps, func(a, b snapshot.ConfigMap) int { return by(&a.Meta, &b.Meta) })
	slices.SortFunc(g.Workloads, func(a, b snapshot.Workload) int { return by(&a.Meta, &b.Meta) })
	slices.SortFunc(g.Sources, func(a, b snapshot.Source) int { return by(&a.Meta, &b.Meta) })
	slices.SortFunc(g.Pods, func(a, b snapshot.Pod) int { return by(&a.Meta, &b.Meta) })
	for i := range g.Truth.Copies {
		c := &g.Truth.Copies[i]
		slices.SortFunc(c.Holders, func(a, b snapshot.Ref) int { return strings.Compare(a.String(), b.String()) })
	}
}
