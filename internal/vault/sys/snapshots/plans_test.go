package snapshots_test

import (
	"io"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

const plan = "sys/storage/raft/snapshot-auto/config/daily"

// kept starts a vault with a secret and a plan whose first snapshot holds it.
func kept(t *testing.T) (v *testenv.Vault, file string) {
	t.Helper()
	v = testenv.Start(t, nil)
	write(t, v, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	write(t, v, "sys/mounts/old", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	write(t, v, "secret/data/app", map[string]any{"data": map[string]any{"value": "then"}})
	write(t, v, "old/app", map[string]any{"value": "then"})
	write(t, v, plan, map[string]any{"interval": "24h", "retain": 2, "storage_type": "local", "path_prefix": "x/daily"})
	return v, first(t, v)
}

func write(t *testing.T, v *testenv.Vault, path string, body map[string]any) {
	t.Helper()
	if _, err := v.Logical().Write(path, body); err != nil {
		t.Fatal(err)
	}
}

// first waits for a snapshot of the plan.
func first(t *testing.T, v *testenv.Vault) (file string) {
	t.Helper()
	await.Until(t, "a snapshot is proven", func() bool {
		answer, err := v.Logical().List("sys/storage/snapshots/list/daily")
		if err != nil || answer == nil {
			return false
		}
		file = answer.Data["keys"].([]any)[0].(string)
		return v.Server.Gate().Open()
	})
	return file
}

func TestPlan(t *testing.T) {
	v, file := kept(t)
	answer, err := v.Logical().Read(plan)
	if err != nil || answer.Data["file_prefix"] != "vault-snapshot" || answer.Data["storage_type"] != "local" || answer.Data["interval"].(interface{ String() string }).String() != "86400" {
		t.Fatal(answer, err)
	}
	await.Until(t, "the status tells of it", func() bool {
		status, err := v.Logical().Read("sys/storage/raft/snapshot-auto/status/daily")
		return err == nil && status.Data["last_proven_name"] == file && status.Data["last_error"] == ""
	})
	metrics, err := v.Logical().ReadRaw("sys/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = metrics.Body.Close() }()
	body := new(strings.Builder)
	if _, err := io.Copy(body, metrics.Body); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`strongkeep_snapshot_failures_total{plan="daily"} 0`, `strongkeep_snapshot_interval_seconds{plan="daily"} 86400`, `strongkeep_snapshots_kept{plan="daily"} 1`, `strongkeep_snapshot_last_proven_timestamp_seconds{plan="daily"} 1`} {
		if !strings.Contains(body.String(), line) {
			t.Errorf("no metric %s", line)
		}
	}
	for what, body := range map[string]map[string]any{
		"another directory": {"interval": "1h", "storage_type": "local", "path_prefix": "../x"},
		"a cloud":           {"interval": "1h", "storage_type": "aws-s3"},
		"no interval":       {"storage_type": "local"},
		"two times":         {"interval": "1h", "schedule": "0 3 * * *", "storage_type": "local"},
		"no schedule":       {"schedule": "@daily", "storage_type": "local"},
	} {
		if _, err := v.Logical().Write(plan, body); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	const other = "sys/storage/raft/snapshot-auto/config/weekly"
	weekly := map[string]any{"interval": "168h", "storage_type": "local", "path_prefix": "x/daily"}
	if _, err := v.Logical().Write(other, weekly); err == nil || !strings.Contains(err.Error(), `plan "daily"`) {
		t.Errorf("two plans keep snapshots of the same names: %v", err)
	}
	weekly["file_prefix"] = "weekly"
	write(t, v, other, weekly)
	write(t, v, other, weekly) // the same again
	if _, err := v.Logical().Delete(other); err != nil {
		t.Error(err)
	}
	if names, err := v.Logical().List("sys/storage/raft/snapshot-auto/config"); err != nil || len(names.Data["keys"].([]any)) != 1 {
		t.Error(names, err)
	}
	if _, err := v.Logical().Delete(plan); err != nil {
		t.Error(err)
	}
	if answer, err := v.Logical().Read(plan); answer != nil || err != nil {
		t.Error(answer, err)
	}
}

// A plan by cron says so again, and when it is due.
func TestCron(t *testing.T) {
	v := testenv.Start(t, nil)
	write(t, v, plan, map[string]any{"schedule": "0 3 * * 1-5", "time_zone": "Europe/Berlin", "jitter": "30m", "storage_type": "local"})
	answer, err := v.Logical().Read(plan)
	if err != nil || answer.Data["schedule"] != "0 3 * * 1-5" || answer.Data["time_zone"] != "Europe/Berlin" || answer.Data["jitter"].(interface{ String() string }).String() != "1800" {
		t.Fatal(answer, err)
	}
	first(t, v)
	var next time.Time
	await.Until(t, "the status tells when the next is due", func() bool {
		status, err := v.Logical().Read("sys/storage/raft/snapshot-auto/status/daily")
		if err != nil {
			return false
		}
		text, _ := status.Data["next_snapshot_time"].(string)
		next, err = time.Parse(time.RFC3339, text)
		return err == nil
	})
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if at := next.In(berlin); at.Hour() != 3 || at.Minute() >= 30 || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		t.Errorf("the next is due at %s", at)
	}
}

// What lay at a path then is read by who may read it now, and nobody else.
func TestPath(t *testing.T) {
	v, file := kept(t)
	write(t, v, "secret/data/app", map[string]any{"data": map[string]any{"value": "now"}})
	write(t, v, "secret/data/late", map[string]any{"data": map[string]any{"value": "now"}})
	write(t, v, "old/app", map[string]any{"value": "now"})
	write(t, v, "sys/mounts/late", map[string]any{"type": "kv"})
	write(t, v, "late/app", map[string]any{"value": "now"})
	t.Setenv("TMPDIR", "/nowhere") // what lies on this machine is not copied
	read := func(token, path string) (*vault.Secret, error) {
		return v.NewClient(token).Logical().Read("sys/storage/snapshots/read/daily/" + file + "/" + path)
	}
	two, err := read(v.Root, "secret/data/app")
	if err != nil || two.Data["data"].(map[string]any)["value"] != "then" {
		t.Fatal(two, err)
	}
	if one, err := read(v.Root, "old/app"); err != nil || one.Data["value"] != "then" {
		t.Error(one, err)
	}
	if none, err := read(v.Root, "secret/data/late"); none != nil && none.Data["data"] != nil || err != nil && !strings.Contains(err.Error(), "404") {
		t.Error("what was written later is in it: ", err)
	}
	for path, says := range map[string]string{
		"late/app": "was not there when", "none/app": "nothing is mounted", "sys/policies/acl/default": "a secret of a kv engine", "auth/token/lookup-self": "a secret of a kv engine",
	} {
		if _, err := read(v.Root, path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	reads := `path "sys/storage/snapshots/read/*" { capabilities = ["read"] }`
	for name, c := range map[string]struct {
		rules string
		may   bool
	}{
		"only-snapshots": {reads, false}, "only-path": {`path "secret/data/app" { capabilities = ["read"] }`, false},
		"both":      {reads + ` path "secret/data/app" { capabilities = ["read"] }`, true},
		"denied":    {reads + ` path "secret/*" { capabilities = ["read"] } path "secret/data/app" { capabilities = ["deny"] }`, false},
		"writes":    {reads + ` path "secret/data/app" { capabilities = ["update"] }`, false},
		"elsewhere": {reads + ` path "secret/data/other" { capabilities = ["read"] }`, false},
	} {
		if err := v.Sys().PutPolicy(name, c.rules); err != nil {
			t.Fatal(err)
		}
		made, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{name}, NoDefaultPolicy: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(made.Auth.ClientToken, "secret/data/app")
		if c.may && (err != nil || got == nil) || !c.may && (err == nil || !strings.Contains(err.Error(), "permission denied")) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A vault whose leases are held makes no snapshots: it may be a copy, and they the original's.
func TestHeld(t *testing.T) {
	var ahead atomic.Int64
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	write(t, v, "sys/leases/hold", nil)
	write(t, v, plan, map[string]any{"interval": "24h", "storage_type": "local"})
	write(t, v, "sys/storage/snapshots/run/daily", nil)
	if answer, err := v.Logical().List("sys/storage/snapshots/list/daily"); answer != nil || err != nil {
		t.Fatal(answer, err)
	}
	ahead.Store(int64(10 * time.Hour))
	resumed := time.Now().Add(10 * time.Hour).UTC().Truncate(time.Second)
	write(t, v, "sys/leases/resume", nil)
	made, err := time.Parse("vault-snapshot-20060102T150405Z.snapshot", first(t, v))
	if err != nil || made.Before(resumed) {
		t.Errorf("the first was made at %s, before %s, when leases went on: %v", made, resumed, err)
	}
}

// Alerts ask for what there is.
func TestAlerts(t *testing.T) {
	v, _ := kept(t)
	answer, err := v.Logical().ReadRaw("sys/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	metrics, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile("../../../../deploy/vault/alerts-snapshots.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`strongkeep_[a-z_]+`).FindAllString(string(alerts), -1)
	if len(asked) < 3 {
		t.Errorf("alerts ask for %q only", asked)
	}
	for _, name := range asked {
		if !strings.Contains(string(metrics), "\n"+name+"{") {
			t.Errorf("an alert asks for %s, and there is no such metric", name)
		}
	}
}
