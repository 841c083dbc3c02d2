package world

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
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

// Collector hears the applications, also those that end. It keeps the last
// report of each pod.
type Collector struct {
	*httptest.Server
	mu   sync.Mutex
	pods map[string]Report
}

// newCollector listens on host, where pods reach it.
func newCollector(t testing.TB, host string) *Collector {
	t.Helper()
	c := &Collector{pods: map[string]Report{}}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.hear))
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Listener.Close()
	c.Listener = l
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *Collector) hear(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
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
	Pods, Open                         int // Open: those whose last report is not final
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
			sum.Open++
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
