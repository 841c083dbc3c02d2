package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what an application says of itself: sample's Stats.
type Report struct {
	Name      string
	User      string
	Queries   int64
	Failures  int64
	Refused   int64
	LastError string
	Logins    int64
	Reloads   int64
	Users     map[string]int64
	Final     bool
}

// Collector keeps the last report of each pod. Its methods are safe for
// concurrent use.
type Collector struct {
	server *http.Server
	at     string
	served chan struct{}

	mu   sync.Mutex // guards pods
	pods map[string]Report
}

// maxReport bounds a report, in bytes.
const maxReport = 1 << 20

// Start listens on host, where pods reach it, until Close.
func Start(ctx context.Context, host string) (*Collector, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("collecting reports: %w", err)
	}
	c := &Collector{at: l.Addr().String(), pods: map[string]Report{}, served: make(chan struct{})}
	c.server = &http.Server{Handler: http.HandlerFunc(c.hear), ReadHeaderTimeout: 10 * time.Second}
	go func() { defer close(c.served); _ = c.server.Serve(l) }()
	return c, nil
}

// URL is where to report.
func (c *Collector) URL() string { return "http://" + c.at }

// Close stops listening. A nil Collector is closed.
func (c *Collector) Close() {
	if c != nil {
		_ = c.server.Close()
		<-c.served
	}
}

func (c *Collector) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	var report Report
	if err == nil {
		err = json.Unmarshal(body, &report)
	}
	if err != nil || report.Name == "" {
		http.Error(w, "this is no report", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pods[report.Name].Final { // one under way may come in late
		c.pods[report.Name] = report
	}
}

// Totals are the sums over all pods there ever were.
type Totals struct {
	Pods                               int
	Open                               []string // pods whose last report is not final
	Queries, Failures, Refused, Logins int64
	Reloads                            int64
	Users                              map[string]int64
	Errors                             []string // the last of each pod that had any
}

func (t Totals) String() string {
	text := fmt.Sprintf("%d pods, %d queries, %d logins, %d reloads, %d failures, %d refused", t.Pods, t.Queries, t.Logins, t.Reloads, t.Failures, t.Refused)
	if len(t.Errors) > 0 {
		text += "\n  " + strings.Join(t.Errors, "\n  ")
	}
	return text
}

// Totals sums up what was reported by pods whose name begins with prefix.
func (c *Collector) Totals(prefix string) Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := Totals{Users: map[string]int64{}}
	for _, name := range slices.Sorted(maps.Keys(c.pods)) {
		r := c.pods[name]
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		sum.Pods++
		if !r.Final {
			sum.Open = append(sum.Open, name)
		}
		sum.Queries += r.Queries
		sum.Failures += r.Failures
		sum.Refused += r.Refused
		sum.Logins += r.Logins
		sum.Reloads += r.Reloads
		for user, n := range r.Users {
			sum.Users[user] += n
		}
		if r.LastError != "" {
			sum.Errors = append(sum.Errors, fmt.Sprintf("%s: %d failures, the last %s", name, r.Failures, r.LastError))
		}
	}
	return sum
}

// Users are those that live pods log in as now.
func (c *Collector) Users() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[string]int{}
	for _, r := range c.pods {
		if !r.Final {
			now[r.User]++
		}
	}
	return now
}
