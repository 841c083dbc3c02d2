package quotas_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

// withUsers is a vault with the engine of leasetest at users/.
func withUsers(t *testing.T, change func(*app.ServerConfig)) (*testenv.Vault, *leasetest.Database) {
	t.Helper()
	db := new(leasetest.Database)
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Engines = map[string]engine.Factory{"users": db.Factory}
		if change != nil {
			change(c)
		}
	})
	if err := v.Sys().Mount("users", &vault.MountInput{Type: "users"}); err != nil {
		t.Fatal(err)
	}
	return v, db
}

func creds(t *testing.T, c *vault.Client, role string) *vault.Secret {
	t.Helper()
	s, err := c.Logical().Read("users/creds/" + role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for background work, which looks at its queue each second.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatal("not in time:", what)
		}
		<-tick.C
	}
}

// status is the HTTP status behind an error of the client; 0 if there is none.
func status(err error) int {
	var re *vault.ResponseError
	if errors.As(err, &re) {
		return re.StatusCode
	}
	return 0
}

func wantError(t *testing.T, err error, code int, text string) {
	t.Helper()
	if status(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %d with %q", err, code, text)
	}
}

// clock is the server's, moved by the test.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *clock) use(cfg *app.ServerConfig) { cfg.Now = c.now }
