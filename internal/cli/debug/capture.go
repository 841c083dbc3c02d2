package debug

import (
	"context"
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// capture is one thing that is collected.
type capture struct {
	target string // what -target names
	name   string // of the file
	again  bool   // at every interval, not only at the start
	get    func(context.Context, *vault.Client) ([]byte, error)
}

// captures are all there are; only what is known to be harmless is taken out
// of answers whose fields may hold more.
func captures() []capture {
	return []capture{
		{"server-status", "seal-status.json", true, object("sys/seal-status")},
		{"server-status", "health.json", true, health},
		{"server-status", "members.json", false, object("sys/ha-status")},
		{"server-status", "key-status.json", false, object("sys/key-status")},
		{"metrics", "metrics.prom", true, metrics},
		{"mounts", "secrets.json", false, mounts("sys/mounts")},
		{"mounts", "auth.json", false, mounts("sys/auth")},
		{"mounts", "audit.json", false, mounts("sys/audit")},
		{"leases", "leases.json", true, object("sys/leases/count")},
		{"leases", "irrevocable.json", true, object("sys/leases/count?type=irrevocable")},
		{"leases", "hold.json", false, object("sys/leases/hold")},
		{"quotas", "rate-limit.json", false, names("sys/quotas/rate-limit")},
		{"quotas", "lease-count.json", false, names("sys/quotas/lease-count")},
		{"host", "host.json", false, host},
	}
}

// logTarget is collected beside the captures, as it comes.
const logTarget = "log"

// targets are the names that -target takes.
func targets() []string {
	all := []string{}
	for _, c := range captures() {
		if len(all) == 0 || all[len(all)-1] != c.target {
			all = append(all, c.target)
		}
	}
	return append(all, logTarget)
}

func indent(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding JSON: %w", err)
	}
	return append(out, '\n'), nil
}

// object collects the data of an answer that holds nothing secret.
func object(path string) func(context.Context, *vault.Client) ([]byte, error) {
	return func(ctx context.Context, client *vault.Client) ([]byte, error) {
		path, query, _ := strings.Cut(path, "?")
		parameters := map[string][]string{}
		if name, value, ok := strings.Cut(query, "="); ok {
			parameters[name] = []string{value}
		}
		res, err := client.Logical().ReadRawWithDataWithContext(ctx, path, parameters)
		if err != nil {
			return nil, err
		}
		defer func() { _ = res.Body.Close() }()
		var answer map[string]any
		dec := json.NewDecoder(io.LimitReader(res.Body, maxCapture))
		dec.UseNumber()
		if err := dec.Decode(&answer); err != nil {
			return nil, errs.Newf(errs.Internal, "reading the answer of %s: %w", path, err)
		}
		if data, enveloped := answer["data"].(map[string]any); enveloped {
			return indent(data)
		}
		return indent(answer)
	}
}

// maxCapture bounds one file.
const maxCapture = 32 << 20

func health(ctx context.Context, client *vault.Client) ([]byte, error) {
	start := time.Now()
	h, err := client.Sys().HealthWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return indent(map[string]any{"health": h, "round_trip": time.Since(start).String()})
}

func metrics(ctx context.Context, client *vault.Client) ([]byte, error) {
	res, err := client.Logical().ReadRawWithContext(ctx, "sys/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxCapture))
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading the metrics: %w", err)
	}
	return content, nil
}

// harmless are the fields of a mount or a device that are collected: not
// descriptions and options, in which people put all sorts of things.
var harmless = []string{"type", "accessor", "local", "seal_wrap", "uuid", "running_plugin_version", "config", "required", "mode"}

func mounts(path string) func(context.Context, *vault.Client) ([]byte, error) {
	return func(ctx context.Context, client *vault.Client) ([]byte, error) {
		answer, err := client.Logical().ReadWithContext(ctx, path)
		if err != nil {
			return nil, err
		}
		all := map[string]any{}
		if answer != nil {
			for at, v := range answer.Data {
				fields, _ := v.(map[string]any)
				kept := map[string]any{}
				for _, name := range harmless {
					if v, ok := fields[name]; ok {
						kept[name] = v
					}
				}
				if options, _ := fields["options"].(map[string]any); options["version"] != nil {
					kept["version"] = options["version"]
				}
				all[at] = kept
			}
		}
		return indent(all)
	}
}

// names collects the names below a path; there may be none.
func names(path string) func(context.Context, *vault.Client) ([]byte, error) {
	return func(ctx context.Context, client *vault.Client) ([]byte, error) {
		answer, err := client.Logical().ListWithContext(ctx, path)
		if err != nil {
			return nil, err
		}
		if answer == nil {
			return indent([]string{})
		}
		return indent(answer.Data["keys"])
	}
}

// host is about the machine the command runs on, and its clock.
func host(context.Context, *vault.Client) ([]byte, error) {
	return indent(map[string]any{
		"client_version": app.Version, "os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(),
		"go": runtime.Version(), "time": time.Now().UTC().Format(time.RFC3339Nano),
	})
}
