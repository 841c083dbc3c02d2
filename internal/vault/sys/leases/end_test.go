package leases_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

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

func dataAt(t *testing.T, v *testenv.Vault, path string) map[string]any {
	t.Helper()
	got := v.HTTP("GET", path, http.NoBody)
	var answer struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != 200 {
		t.Fatalf("%s: %d %s", path, got.Status, got.Body)
	}
	return answer.Data
}

func TestLeaseExpires(t *testing.T) {
	time := new(clock)
	v, db := withUsers(t, time.use)
	db.Set("short", engine.Lease{TTL: 60e9, Renewable: true})
	db.Set("fixed", engine.Lease{TTL: 7200e9})
	short, fixed := creds(t, v.Client, "short"), creds(t, v.Client, "fixed")
	if _, err := v.Sys().Renew(fixed.LeaseID, 60); status(err) != 400 || !strings.Contains(err.Error(), "lease is not renewable") {
		t.Errorf("renewing what is not renewable: %v", err)
	}
	time.add(61e9)
	_, err := v.Sys().Lookup(short.LeaseID)
	wantError(t, err, 400, "invalid lease")
	_, err = v.Sys().Renew(short.LeaseID, 60)
	wantError(t, err, 400, "lease not found")
	time.add(5e9)
	eventually(t, "the user of the expired lease is dropped", func() bool { return len(db.Users()) == 1 })
	if _, err := v.Sys().Lookup(fixed.LeaseID); err != nil {
		t.Error(err)
	}
}

// Leases of secrets live for an hour where nobody says otherwise; what a role, a
// mount or the server's configuration says holds.
func TestDefaultLeaseTTL(t *testing.T) {
	v, db := withUsers(t, nil)
	db.Set("long", engine.Lease{TTL: 200 * time.Hour})
	for role, want := range map[string]int{"any": 3600, "long": 200 * 3600} {
		if s := creds(t, v.Client, role); s.LeaseDuration != want {
			t.Errorf("%s: %d, want %d", role, s.LeaseDuration, want)
		}
	}
	if err := v.Sys().TuneMount("users", vault.MountConfigInput{DefaultLeaseTTL: "2h", MaxLeaseTTL: "3h"}); err != nil {
		t.Fatal(err)
	}
	if s := creds(t, v.Client, "any"); s.LeaseDuration != 7200 {
		t.Errorf("tuned: %d", s.LeaseDuration)
	}
	if s := creds(t, v.Client, "long"); s.LeaseDuration != 3*3600 || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "capped accordingly") {
		t.Errorf("capped: %d %q", s.LeaseDuration, s.Warnings)
	}
	configured, _ := withUsers(t, func(c *app.ServerConfig) { c.DefaultLeaseTTL = "5h" })
	if s := creds(t, configured.Client, "any"); s.LeaseDuration != 5*3600 {
		t.Errorf("configured: %d", s.LeaseDuration)
	}
}

// §2.4: revocation cascades to children and leases.
func TestLeasesEndWithTheirToken(t *testing.T) {
	v, db := withUsers(t, nil)
	reader := `path "users/creds/*" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }`
	parent := v.NewClient(v.Policy("reader", reader))
	made, err := parent.Auth().Token().Create(&vault.TokenCreateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	child := v.NewClient(made.Auth.ClientToken)
	ids := []string{creds(t, parent, "a").LeaseID, creds(t, child, "b").LeaseID, creds(t, child, "b").LeaseID}
	other := creds(t, v.Client, "c").LeaseID
	for range 100 {
		creds(t, child, "many")
	}
	if err := v.Auth().Token().RevokeTree(parent.Token()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids { // at once, whatever the queue does
		_, err := v.Sys().Lookup(id)
		wantError(t, err, 400, "invalid lease")
		_, err = v.Sys().Renew(id, 10)
		wantError(t, err, 400, "lease not found")
	}
	eventually(t, "their users are dropped", func() bool { return len(db.Users()) == 1 })
	if _, err := v.Sys().Lookup(other); err != nil {
		t.Error("the lease of another token:", err)
	}
}

// §2.4: a batch token leaves no trace when it ends; its leases end when it does.
func TestLeasesOfBatchTokens(t *testing.T) {
	v, db := withUsers(t, nil)
	reader := v.Policy("reader", `path "users/creds/*" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }`)
	made, err := v.NewClient(reader).Auth().Token().Create(&vault.TokenCreateRequest{Type: "batch", TTL: "10m"})
	if err != nil {
		t.Fatal(err)
	}
	db.Set("a", engine.Lease{TTL: time.Hour, Renewable: true})
	s := creds(t, v.NewClient(made.Auth.ClientToken), "a")
	if s.LeaseDuration < 595 || s.LeaseDuration > 600 || len(s.Warnings) != 1 {
		t.Errorf("%d %q", s.LeaseDuration, s.Warnings)
	}
	renewed, err := v.Sys().Renew(s.LeaseID, 3600)
	if err != nil || renewed.LeaseDuration > 600 {
		t.Errorf("%+v, %v", renewed, err)
	}
	if err := v.Auth().Token().RevokeTree(reader); err != nil { // its parent
		t.Fatal(err)
	}
	_, err = v.Sys().Lookup(s.LeaseID)
	wantError(t, err, 400, "invalid lease")
	eventually(t, "the user is dropped", func() bool { return len(db.Users()) == 0 })
}

// §2.4: a token's last use gives no lease.
func TestLastUseGivesNoLease(t *testing.T) {
	v, db := withUsers(t, nil)
	v.Policy("reader", `path "users/creds/*" { capabilities = ["read"] }`)
	made, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"reader"}, NumUses: 2})
	if err != nil {
		t.Fatal(err)
	}
	c := v.NewClient(made.Auth.ClientToken)
	creds(t, c, "a")
	_, err = c.Logical().Read("users/creds/a")
	wantError(t, err, 400, "Secret cannot be returned; token had one use left")
	eventually(t, "nothing is left", func() bool { return len(db.Users()) == 0 })
}

// What could not be made is answered with an error, and what was half made is ended.
func TestSecretThatCannotBeMade(t *testing.T) {
	v, db := withUsers(t, nil)
	db.Fail(func(op, _ string) error {
		if op == "make" {
			return errs.New(errs.Unavailable, "the database does not answer")
		}
		return nil
	})
	_, err := v.Logical().Read("users/creds/a")
	wantError(t, err, 503, "the database does not answer")
	if n := dataAt(t, v, "sys/leases/count")["lease_count"]; n != 0.0 {
		t.Errorf("%v leases are left", n)
	}
	if calls := db.Calls(); len(calls) != 2 || calls[1] != strings.Replace(calls[0], "make", "drop", 1) {
		t.Errorf("calls %q", calls)
	}
}

// §5.4: what cannot be revoked is tried again and again, visible, and can be
// tried on demand or given up.
func TestIrrevocableLeases(t *testing.T) {
	time := new(clock)
	v, db := withUsers(t, time.use)
	db.Fail(func(op, role string) error {
		if op == "drop" && role == "bad" {
			return errs.New(errs.Unavailable, "the database does not answer")
		}
		return nil
	})
	bad, bad2 := creds(t, v.Client, "bad").LeaseID, creds(t, v.Client, "bad").LeaseID
	good := creds(t, v.Client, "good").LeaseID
	_, err := v.Logical().Write("sys/leases/revoke", map[string]any{"lease_id": bad, "sync": true})
	wantError(t, err, 503, "the database does not answer")
	for _, id := range []string{bad2, good} {
		if err := v.Sys().Revoke(id); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the neighbour is not held up", func() bool { return len(db.Users()) == 2 })
	calls := 0
	eventually(t, "they are irrevocable", func() bool {
		if n := len(db.Calls()); n != calls { // the queue has done what was due
			calls = n
			time.add(3600e9)
		}
		return dataAt(t, v, "sys/leases/count?type=irrevocable")["lease_count"] == 2.0
	})
	listed := dataAt(t, v, "sys/leases?type=irrevocable")
	first := listed["leases"].([]any)[0].(map[string]any)
	if listed["lease_count"] != 2.0 || first["error"] != "the database does not answer" || first["role"] != "bad" || first["attempts"].(float64) < 10 {
		t.Errorf("%v", listed)
	}
	if !strings.Contains(v.Log.String(), "a lease is irrevocable") {
		t.Error("the log says nothing")
	}
	err = v.Sys().Unmount("users")
	wantError(t, err, 503, "sys/leases/revoke-force/users")
	if err := v.Sys().RevokeForce(bad2); err != nil { // one lease as a prefix
		t.Fatal(err)
	}
	if n := dataAt(t, v, "sys/leases/count?type=irrevocable")["lease_count"]; n != 1.0 {
		t.Errorf("%v are left after revoke-force", n)
	}
	db.Fail(nil)
	if _, err := v.Logical().Write("sys/leases/tidy", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "tidy tries again", func() bool {
		return dataAt(t, v, "sys/leases/count")["lease_count"] == 0.0 && dataAt(t, v, "sys/leases/count?type=irrevocable")["lease_count"] == 0.0
	})
	if users := db.Users(); len(users) != 1 { // the one given up
		t.Errorf("users %q", users)
	}
	if err := v.Sys().Unmount("users"); err != nil {
		t.Error(err)
	}
}

func TestUnmountEndsLeases(t *testing.T) {
	v, db := withUsers(t, nil)
	for range 20 {
		creds(t, v.Client, "a")
	}
	if err := v.Sys().Unmount("users"); err != nil {
		t.Fatal(err)
	}
	if len(db.Users()) != 0 {
		t.Errorf("users %q", db.Users())
	}
}

// A lease is found by its ID after its mount has moved.
func TestLeaseOfAMountThatMoved(t *testing.T) {
	v, db := withUsers(t, nil)
	id := creds(t, v.Client, "a").LeaseID
	if err := v.Sys().Remount("users", "people"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Sys().Renew(id, 60); err != nil {
		t.Error(err)
	}
	if _, err := v.Logical().Write("sys/leases/revoke", map[string]any{"lease_id": id, "sync": true}); err != nil || len(db.Users()) != 0 {
		t.Errorf("%v, users %q", err, db.Users())
	}
}

// §5.4, hashicorp/vault#22275: start without revoking.
func TestHeldLeases(t *testing.T) {
	time := new(clock)
	v, db := withUsers(t, time.use)
	db.Set("a", engine.Lease{TTL: 20e9})
	id := creds(t, v.Client, "a").LeaseID
	if _, err := v.Logical().Write("sys/leases/hold", nil); err != nil {
		t.Fatal(err)
	}
	if held := dataAt(t, v, "sys/leases/hold"); held["held"] != true || held["since"] == nil {
		t.Errorf("%v", held)
	}
	time.add(30e9)
	v.Restart() // it is remembered
	v.Unseal()
	if dataAt(t, v, "sys/leases/hold")["held"] != true || !strings.Contains(v.Log.String(), "leases are held") {
		t.Error("not held after the restart")
	}
	if _, err := v.Sys().Lookup(id); status(err) != 400 {
		t.Errorf("an expired lease is shown: %v", err)
	}
	for range 3 { // what would have been done a second after the unseal
		creds(t, v.Client, "b")
		time.add(2e9)
	}
	if users := db.Users(); len(users) != 4 {
		t.Fatalf("users %q", users)
	}
	if metrics := v.HTTP("GET", "sys/metrics", http.NoBody).Body; !strings.Contains(metrics, "strongkeep_leases_held 1") {
		t.Error("the metrics do not say that leases are held")
	}
	if _, err := v.Logical().Write("sys/leases/resume", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the expired lease ends", func() bool { return len(db.Users()) == 3 })
	if dataAt(t, v, "sys/leases/hold")["held"] != false {
		t.Error("still held")
	}
}

// §5.20: who made all these.
func TestCountLeases(t *testing.T) {
	v, _ := withUsers(t, nil)
	token := v.Policy("reader", `path "users/creds/*" { capabilities = ["read"] }`)
	for i := range 5 {
		creds(t, v.NewClient(token), "role"+strconv.Itoa(i%2))
	}
	creds(t, v.Client, "role1")
	if got := dataAt(t, v, "sys/leases/count"); got["lease_count"] != 6.0 || len(got["counts"].(map[string]any)) != 1 {
		t.Errorf("%v", got)
	}
	for by, want := range map[string]string{
		"role":   `[{"mount":"users/","role":"role0","count":3},{"mount":"users/","role":"role1","count":3}]`,
		"mount":  `[{"mount":"users/","count":6}]`,
		"path":   `[{"path":"users/creds/role0","count":3},{"path":"users/creds/role1","count":3}]`,
		"entity": `[{"count":6}]`,
	} {
		got := v.HTTP("GET", "sys/leases/count?group_by="+by, http.NoBody)
		if !strings.Contains(got.Body, `"groups":`+want) {
			t.Errorf("%s: %s", by, got.Body)
		}
	}
	got := dataAt(t, v, "sys/leases/count?group_by=token&limit=1")
	top := got["groups"].([]any)[0].(map[string]any)
	if top["count"] != 5.0 || top["accessor"] == "" || got["more_groups"] != 1.0 {
		t.Errorf("%v", got)
	}
	if got := dataAt(t, v, "sys/leases/count?type=tokens&group_by=policy"); got["token_count"] != 2.0 {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"group_by=colour", "type=irrevokable", "group_by=policy"} {
		if got := v.HTTP("GET", "sys/leases/count?"+bad, http.NoBody); got.Status != 400 {
			t.Errorf("%s: %d", bad, got.Status)
		}
	}
}

// No secret of a lease is in the log, the audit log, an answer, or the store.
func TestLeaseCanaries(t *testing.T) {
	v, db := withUsers(t, nil)
	db.Fail(func(op, _ string) error {
		if op == "drop" {
			return errs.New(errs.Unavailable, "no database")
		}
		return nil
	})
	id := creds(t, v.Client, "a").LeaseID
	_ = v.Sys().Revoke(id)
	eventually(t, "a failure is logged", func() bool { return strings.Contains(v.Log.String(), "cannot be ended") })
	_, random, _ := strings.Cut(id, "creds/a/")
	audit, err := os.ReadFile(v.AuditFile())
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"log": v.Log.String(), "audit": string(audit), "list": v.HTTP("GET", "sys/leases", http.NoBody).Body,
		"metrics": v.HTTP("GET", "sys/metrics", http.NoBody).Body,
	} {
		if strings.Contains(text, leasetest.Canary) {
			t.Errorf("the canary is in the %s", where)
		}
		if strings.Contains(text, random) && where != "audit" {
			t.Errorf("the lease's ID, which renews it, is in the %s", where)
		}
	}
}
