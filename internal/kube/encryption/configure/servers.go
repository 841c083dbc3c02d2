package configure

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// Server is what one API server tells of itself.
type Server struct {
	URL string `json:"url"`
	meter.Reading
}

// Servers asks all API servers of cfg what they have in force. With the error Conflict it
// returns those that were asked: they are not all, or it is not known. Of cfg it takes
// REST, Servers and TheseAreAll.
func Servers(ctx context.Context, cfg Config) ([]Server, error) { return servers(ctx, &cfg) }

// SameEtcd refuses a Stored that is not the etcd of these API servers as it is now. The
// kind is Conflict.
func SameEtcd(ctx context.Context, cfg Config) error {
	cfg.defaults()
	return sameEtcd(ctx, &cfg)
}

// ProveEtcd is SameEtcd, and refuses too where no lease of an API server shows it.
func ProveEtcd(ctx context.Context, cfg Config) error {
	cfg.defaults()
	list, err := leases(ctx, &cfg)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errs.New(errs.Conflict, "it is not known whether this is the etcd of these API servers, which keep no leases in kube-system")
	}
	return tied(ctx, &cfg, list)
}

// servers asks all API servers, and whether they are all. Kinds: Invalid, Denied,
// Unauthenticated, Unavailable, Conflict (there are more, or others).
func servers(ctx context.Context, cfg *Config) ([]Server, error) {
	urls := cfg.Servers
	if len(urls) == 0 {
		urls = []string{cfg.REST.Host}
	}
	var all []Server
	for _, url := range urls {
		r, err := meter.Ask(ctx, cfg.REST, url)
		if err != nil {
			return nil, err
		}
		all = append(all, Server{URL: strings.TrimSuffix(url, "/"), Reading: r})
	}
	list, err := leases(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return all, complete(list, all, cfg.TheseAreAll)
}

// leases are those of API servers: each one that lives renews its own.
func leases(ctx context.Context, cfg *Config) ([]coordinationv1.Lease, error) {
	to := rest.CopyConfig(cfg.REST)
	to.QPS = -1 // the context says for how long
	client, err := kubernetes.NewForConfig(to)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reaching the cluster: %w", err)
	}
	list, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "apiserver.kubernetes.io/identity=kube-apiserver"})
	if err != nil {
		return nil, explain(err, "listing the leases of API servers in namespace kube-system")
	}
	return list.Items, nil
}

// complete refuses if the API servers that were asked are not those that are alive.
// Those that tell no identity are told apart by when their processes started: two
// addresses may be one API server's. Without any lease it is not known, and believed only
// if theseAreAll says so.
func complete(list []coordinationv1.Lease, asked []Server, theseAreAll bool) error {
	now, alive := earliest(asked), map[string]bool{}
	for i := range list {
		if lives(&list[i], now) {
			alive[meter.HashOf(list[i].Name)] = true
		}
	}
	total, nameless := len(alive), map[float64]string{}
	if total == 0 && theseAreAll {
		return nil
	}
	if total == 0 {
		return errs.New(errs.Conflict, "no API server has a living lease in kube-system, so that it is not known whether there are more of them than were asked: if the cluster keeps no such leases, name all with -server and say -these-are-all")
	}
	left := map[string]bool{}
	for id := range alive {
		left[id] = true
	}
	for _, s := range asked {
		switch {
		case s.ID == "":
			nameless[s.Started] = s.URL
		case !alive[s.ID]:
			return errs.Newf(errs.Conflict, "the API server %s is none of the %d that are alive in this cluster (leases in kube-system): is it another cluster's?", s.URL, total)
		}
		delete(left, s.ID)
	}
	switch {
	case len(left) > len(nameless):
		return errs.Newf(errs.Conflict, "%d API servers are alive (leases in kube-system), and of %d of them it is not known which file they have: name each with -server=https://ADDRESS:6443; one that is gone is forgotten after an hour, or when its lease is deleted", total, len(left)-len(nameless))
	case len(left) < len(nameless):
		return errs.Newf(errs.Conflict, "%d API servers were asked that tell no identity, and %d such are alive in this cluster (leases in kube-system): is one another cluster's?", len(nameless), len(left))
	}
	return nil
}

// earliest is the time by the clock of that API server which is furthest behind: by it
// most leases live. This machine's own may be wrong. It is zero if one tells none.
func earliest(asked []Server) time.Time {
	var now time.Time
	for i, s := range asked {
		if i == 0 || s.Told.Before(now) {
			now = s.Told
		}
	}
	return now
}

func lives(l *coordinationv1.Lease, now time.Time) bool {
	if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return true
	}
	return now.Before(l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second))
}

// explain gives an answer of the API server its kind.
func explain(err error, what string) error {
	var status interface{ Status() metav1.Status }
	kind := errs.Unavailable
	if errors.As(err, &status) {
		kinds := map[int32]errs.Kind{http.StatusForbidden: errs.Denied, http.StatusUnauthorized: errs.Unauthenticated}
		if k, ok := kinds[status.Status().Code]; ok {
			kind = k
		}
	}
	return errs.Newf(kind, "%s: %w", what, err)
}
