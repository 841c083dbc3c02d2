package configure

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	// longestLine bounds a line of metrics, in bytes.
	longestLine = 1 << 20
	// patience is how long an API server gets to tell its metrics.
	patience = 20 * time.Second
	// controller begins the names of the metrics that are read.
	controller = "apiserver_encryption_config_controller_"
)

// Server is what one API server tells of itself.
type Server struct {
	URL      string    `json:"url"`
	Hash     string    `json:"hash,omitempty"` // of the file in force; "" for none, or one that it does not tell
	Reloaded time.Time `json:"reloaded,omitzero"`
	Failed   time.Time `json:"failed,omitzero"` // when it last refused a file
	Failures int       `json:"failures,omitempty"`

	id string // hash of its identity; "" if it does not tell
}

// servers asks all API servers, and whether they are all. Kinds: Invalid, Denied,
// Unauthenticated, Unavailable, Conflict (there are more).
func servers(ctx context.Context, cfg *Config) ([]Server, error) {
	urls := cfg.Servers
	if len(urls) == 0 {
		urls = []string{cfg.REST.Host}
	}
	var all []Server
	for _, url := range urls {
		s, err := ask(ctx, cfg.REST, url)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, complete(ctx, cfg, all)
}

// ask reads the metrics of one API server.
func ask(ctx context.Context, from *rest.Config, url string) (Server, error) {
	s := Server{URL: strings.TrimSuffix(url, "/")}
	if !strings.HasPrefix(url, "https://") {
		return s, errs.Newf(errs.Invalid, "API server %q: name it as https://ADDRESS:6443", url)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to := rest.CopyConfig(from)
	to.Host, to.Timeout = s.URL, 0
	client, err := rest.HTTPClientFor(to)
	if err != nil {
		return s, errs.Newf(errs.Invalid, "API server %s: %w", url, err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/metrics", nil)
	if err != nil {
		return s, errs.Newf(errs.Invalid, "API server %q: %w", url, err)
	}
	q.Header.Set("Accept", "text/plain")
	answer, err := client.Do(q)
	if err != nil {
		return s, errs.Newf(errs.Unavailable, "asking the API server %s for its metrics: %w: all API servers have to answer", url, err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return s, errs.Newf(errs.Denied, "the API server %s does not tell you its metrics: ask for the right to get the nonResourceURL /metrics", url)
	case http.StatusUnauthorized:
		return s, errs.Newf(errs.Unauthenticated, "the API server %s does not know who asks: log in to the cluster anew", url)
	default:
		return s, errs.Newf(errs.Unavailable, "asking the API server %s for its metrics: %s", url, answer.Status)
	}
	if err := s.read(answer.Body); err != nil {
		return s, errs.Newf(errs.Unavailable, "reading the metrics of the API server %s: %w", url, err)
	}
	return s, nil
}

// read takes what is asked for from metrics in Prometheus' text format:
//
//	apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="…",hash="sha256:…"} 1
//	apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="…",status="failure"} 2
//	apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{…,status="success"} 1.7e+09
func (s *Server) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		line, ok := strings.CutPrefix(lines.Text(), controller)
		if !ok {
			continue
		}
		if name, labels, n, ok := sample(line); ok {
			s.take(name, labels, n)
		}
	}
	return lines.Err()
}

func (s *Server) take(name string, labels map[string]string, n float64) {
	if id := labels["apiserver_id_hash"]; id != "" {
		s.id = id
	}
	failed, instant := labels["status"] == "failure", time.Unix(int64(min(max(n, 0), 1e11)), 0).UTC()
	switch name {
	case "last_config_info":
		s.Hash = labels["hash"]
	case "automatic_reloads_total":
		if failed {
			s.Failures = int(min(max(n, 0), math.MaxInt32))
		}
	case "automatic_reload_last_timestamp_seconds":
		if failed {
			s.Failed = instant
		} else {
			s.Reloaded = instant
		}
	}
}

var label = regexp.MustCompile(`([a-z_]+)="([^"\\]*)"`)

// sample is a line: name{label="value",…} number
func sample(line string) (name string, labels map[string]string, n float64, ok bool) {
	name, rest, _ := strings.Cut(line, "{")
	inner, number, ok := strings.Cut(rest, "} ")
	if !ok {
		return "", nil, 0, false
	}
	number, _, _ = strings.Cut(number, " ") // behind it there may be a time
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) {
		return "", nil, 0, false
	}
	labels = map[string]string{}
	for _, m := range label.FindAllStringSubmatch(inner, -1) {
		labels[m[1]] = m[2]
	}
	return name, labels, n, true
}

// complete refuses if there are API servers that were not asked: each one that lives
// renews a lease, and tells the hash of its name beside that of its file.
func complete(ctx context.Context, cfg *Config, asked []Server) error {
	client, err := kubernetes.NewForConfig(cfg.REST)
	if err != nil {
		return errs.Newf(errs.Invalid, "reaching the cluster: %w", err)
	}
	list, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "apiserver.kubernetes.io/identity=kube-apiserver"})
	if err != nil {
		return explain(err, "listing the leases of API servers in namespace kube-system")
	}
	alive := map[string]bool{}
	for i := range list.Items {
		if l := &list.Items[i]; lives(l, cfg.Now()) {
			alive[fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(l.Name)))] = true
		}
	}
	total, nameless := len(alive), map[string]bool{}
	for _, s := range asked {
		delete(alive, s.id)
		if s.id == "" {
			nameless[s.URL] = true
		}
	}
	if len(alive) > len(nameless) {
		return errs.Newf(errs.Conflict, "%d API servers are alive (leases in kube-system), and of %d of them it is not known which file they have: name each with -server=https://ADDRESS:6443; one that is gone is forgotten after an hour, or when its lease is deleted", total, len(alive)-len(nameless))
	}
	return nil
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
