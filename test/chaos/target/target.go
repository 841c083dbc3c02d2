package target

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// TTL of the leases.
const TTL = 2 * time.Second

// Target takes PUT /NAME, which makes an account, and DELETE /NAME, which ends it; what is not there
// is ended, too. Its methods are for any goroutine.
type Target struct {
	server http.Server
	served sync.WaitGroup

	mu       sync.Mutex
	accounts map[string]*Account
}

// Account is what happened to one.
type Account struct {
	Made, Ended []time.Time // in order
}

// Live reports whether it is there: whoever comes last counts.
func (a *Account) Live() bool {
	return len(a.Made) > 0 && (len(a.Ended) == 0 || a.Ended[len(a.Ended)-1].Before(a.Made[len(a.Made)-1]))
}

// Serve begins to answer on l, until Close.
func Serve(l net.Listener) *Target {
	t := &Target{accounts: map[string]*Account{}}
	t.server.Handler, t.server.ReadHeaderTimeout = http.HandlerFunc(t.answer), 10*time.Second
	t.served.Go(func() { _ = t.server.Serve(l) })
	return t
}

// Close ends all connections.
func (t *Target) Close() {
	_ = t.server.Close()
	t.served.Wait()
}

// pause is between what is done and its answer: who asked may be gone by then.
const pause = 15 * time.Millisecond

func (t *Target) answer(w http.ResponseWriter, r *http.Request) {
	if !t.do(r) {
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
	<-time.After(pause)
}

func (t *Target) do(r *http.Request) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	a := t.accounts[name]
	if a == nil {
		a = new(Account)
		t.accounts[name] = a
	}
	switch r.Method {
	case http.MethodPut:
		a.Made = append(a.Made, time.Now())
	case http.MethodDelete:
		a.Ended = append(a.Ended, time.Now())
	default:
		return false
	}
	return true
}

// Accounts are those whose names begin so.
func (t *Target) Accounts(prefix string) map[string]Account {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]Account{}
	for name, a := range t.accounts {
		if strings.HasPrefix(name, prefix) {
			all[name] = *a
		}
	}
	return all
}

// AwaitEnd waits until none of the accounts is there whose names begin so. An error says which are.
func (t *Target) AwaitEnd(ctx context.Context, prefix string) error {
	for {
		var live []string
		for name, a := range t.Accounts(prefix) {
			if a.Live() {
				live = append(live, name)
			}
		}
		if len(live) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d accounts are still there: %v", len(live), live[:min(len(live), 5)])
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var client = &http.Client{Transport: new(http.Transport)} // of no proxy that the environment names

// Ask makes or ends an account of the target at HOST:PORT, by PUT or DELETE.
func Ask(ctx context.Context, at, method, name string) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+at+"/"+name, http.NoBody)
	if err != nil {
		return err
	}
	a, err := client.Do(r)
	if err != nil {
		return err
	}
	_ = a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s of %s: %s", method, name, a.Status)
	}
	return nil
}
