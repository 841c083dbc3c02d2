package proof

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// world is what the API servers tell at one moment. What they do not tell has a reason.
type world struct {
	servers    []configure.Server
	incomplete string // why it is not known that servers are all; "" if it is
	uid        string
	leases     map[string]int64 // of API servers: the revision that wrote them
	unknown    string           // why uid and leases are not known; "" if they are
}

func ask(ctx context.Context, cfg *Config) world {
	if cfg.REST == nil {
		const why = "no API server was asked"
		return world{incomplete: why, unknown: why}
	}
	w := world{leases: map[string]int64{}}
	if err := w.identify(ctx, cfg.REST); err != nil {
		w.unknown = reason(err)
	}
	var err error
	w.servers, err = configure.Servers(ctx, configure.Config{REST: cfg.REST, Servers: cfg.Servers, TheseAreAll: cfg.TheseAreAll})
	if err != nil {
		w.incomplete = reason(err)
	}
	return w
}

// longest bounds a reason, in bytes.
const longest = 500

// reason is an error as one line of a report.
func reason(err error) string {
	line := strings.Join(strings.Fields(err.Error()), " ")
	return line[:min(len(line), longest)] // perhaps within a letter: trim
}

// identify asks the API which cluster it is of, and for the leases of its API servers,
// which are renewed each ten seconds.
func (w *world) identify(ctx context.Context, from *rest.Config) error {
	client, err := kubernetes.NewForConfig(from)
	if err != nil {
		return errs.Newf(errs.Invalid, "reaching the cluster: %w", err)
	}
	ns, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return errs.Newf(errs.Unavailable, "getting the namespace kube-system: %w", err)
	}
	list, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "apiserver.kubernetes.io/identity=kube-apiserver"})
	if err != nil {
		return errs.Newf(errs.Unavailable, "listing the leases of API servers: %w", err)
	}
	w.uid = string(ns.UID)
	for i := range list.Items {
		version, err := strconv.ParseInt(list.Items[i].ResourceVersion, 10, 64)
		if err != nil {
			return errs.New(errs.Unavailable, "the leases of API servers have no revisions: is there something between the API server and us?")
		}
		w.leases[list.Items[i].Name] = version
	}
	return nil
}

// judge answers what needs more than values. Before and after are the API servers' word
// before the values were read and behind it.
func (s *Statement) judge(before, after *world, from *reading) error {
	if before.uid != "" && from.uid != "" && before.uid != from.uid {
		return errs.Newf(errs.Conflict, "what was read (%s) is of the cluster %s, and the API server of %s: name etcd and kubeconfig of one cluster", s.Read.Source, from.uid, before.uid)
	}
	s.Cluster = from.uid
	if s.Cluster == "" {
		s.Cluster = before.uid
	}
	if s.Cluster == "" {
		return errs.Newf(errs.Invalid, "of which cluster this is cannot be told: %s has no namespace kube-system below %s that can be read, and of API servers: %s", s.Read.Source, s.Read.Prefix, before.unknown)
	}
	for i := range after.servers {
		s.Servers = append(s.Servers, server(&after.servers[i]))
	}
	s.Answers = append(s.Answers, s.ofCluster(before, after, from), s.configuration(before, after), s.plugins(after))
	return nil
}

func server(at *configure.Server) Server {
	out := Server{URL: at.URL, Hash: at.Hash, Reloaded: at.Reloaded, Refused: at.Failures, Told: at.Told, Keys: map[string]string{}}
	for name, k := range at.Keys {
		out.Keys[text(name)] = k.Hash
	}
	return out
}

func answer(id, question string) Answer {
	return Answer{id, stored.Answer{Question: question, Answer: stored.NotChecked}}
}

// ofCluster answers whether what was read is what the API servers of the cluster keep now: a
// lease there is not older than they told it before, and not newer than they tell it behind.
func (s *Statement) ofCluster(before, after *world, from *reading) Answer {
	a := answer(OfCluster, "are these the values that the cluster has now?")
	switch unknown := cmp.Or(before.unknown, after.unknown); {
	case s.Read.Kind == Snapshot && before.uid == "":
		a.Detail = "a snapshot says how it was then; no API server says of which cluster: " + before.unknown
	case s.Read.Kind == Snapshot:
		a.Detail = "they are of this cluster; a snapshot says how it was then"
	case unknown != "":
		a.Detail = unknown
	default:
		a.Answer.Answer, a.Detail = from.between(before.leases, after.leases)
	}
	return a
}

// between holds the leases that were read against those that the API told before and behind.
func (r *reading) between(before, after map[string]int64) (answer, detail string) {
	const other = "this is another etcd, or an old copy"
	n := 0
	for _, name := range slices.Sorted(maps.Keys(before)) {
		last, there := after[name]
		switch {
		case r.leases[name] < before[name]:
			return stored.No, "the lease " + name + " of an API server is not there as the API tells it: " + other
		case !there: // its API server went meanwhile
		case r.leases[name] > last:
			return stored.No, "the lease " + name + " of an API server is newer there than the API tells it afterwards: " + other
		default:
			n++
		}
	}
	if n == 0 {
		return stored.NotChecked, "the API servers keep no leases in kube-system, by which it could be told"
	}
	return stored.Yes, fmt.Sprintf("the leases of %d API servers are there, as new as the API tells them", n)
}

// configuration answers whether all API servers have one file in force, that of this node.
func (s *Statement) configuration(before, after *world) Answer {
	a := answer(Configuration, "have all API servers one configuration, this node's, in force?")
	hashes, incomplete := inForce(before, after), cmp.Or(after.incomplete, before.incomplete)
	file := s.File != nil && len(hashes) > 0 && !hashes[s.File.Hash]
	switch {
	case hashes[""]:
		a.Detail = "an API server tells no hash of its file: it has none, or does not reload it"
	case len(hashes) > 1:
		a.Answer.Answer, a.Detail = stored.No, fmt.Sprintf("%d different files are in force, or one was changed while values were read", len(hashes))
	case file:
		a.Answer.Answer, a.Detail = stored.No, "the API servers have another file in force than "+s.File.Path+" of this machine"
	case incomplete != "":
		a.Detail = incomplete
	case s.File == nil:
		a.Detail = fmt.Sprintf("all %d API servers have one file in force; this node's was not looked at", len(after.servers))
	default:
		a.Answer.Answer, a.Detail = stored.Yes, fmt.Sprintf("all %d API servers have the file %s in force", len(after.servers), s.File.Path)
	}
	return a
}

// inForce are the hashes of the files that API servers have told, before and after.
func inForce(worlds ...*world) map[string]bool {
	hashes := map[string]bool{}
	for _, w := range worlds {
		for i := range w.servers {
			hashes[w.servers[i].Hash] = true
		}
	}
	return hashes
}

// silent is for how long a plugin may have told an API server nothing: it is asked each
// minute, so that one which is silent is ill, or gone.
const silent = 5 * time.Minute

// plugins answers whether the KMS v2 plugins of all API servers have one key, the expected one.
func (s *Statement) plugins(w *world) Answer {
	a := answer(Plugins, "have the plugins of all API servers the key?")
	want := ""
	if s.Expected.KeyID != "" {
		want = meter.HashOf(s.Expected.KeyID)
	}
	name := strings.TrimPrefix(s.Expected.Provider, string(stored.KMSv2)+"/")
	if s.Expected.Provider == "" || strings.Contains(name, "/") {
		a.Detail = "which provider it should be was not told, or it has no plugin"
		return a
	}
	for i := range w.servers {
		k, told := w.servers[i].Keys[name]
		switch {
		case !told:
			a.Detail = "the API server " + w.servers[i].URL + " tells no key of " + name
			return a
		case w.servers[i].Told.Sub(k.At) > silent:
			a.Detail = "the plugin of the API server " + w.servers[i].URL + " has told its key last at " + k.At.UTC().Format(time.RFC3339)
			return a
		case want != "" && k.Hash != want:
			a.Answer.Answer, a.Detail = stored.No, "the plugin of the API server "+w.servers[i].URL+" told another key"
			return a
		}
		want = k.Hash
	}
	if w.incomplete != "" {
		a.Detail = w.incomplete
		return a
	}
	a.Answer.Answer, a.Detail = stored.Yes, fmt.Sprintf("%d plugins have told the same", len(w.servers))
	if s.Expected.KeyID == "" {
		a.Detail += "; which one it should be was not told"
	}
	return a
}
