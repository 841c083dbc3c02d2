package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster/process"
	"github.com/strongkeep/strongkeep/test/demo/shop"
)

// collected is where what components say of themselves, but do not write to
// files of their own, is put.
func (d *demo) collected() string { return filepath.Join(d.dir, "collected") }

// collect asks every component for what it says: logs, events, objects with
// their status, metrics. Secrets are left out: they hold what they are for.
func (d *demo) collect(ctx context.Context) error {
	if err := os.MkdirAll(d.collected(), 0o700); err != nil {
		return fmt.Errorf("collecting: %w", err)
	}
	pods, err := d.kube.run(ctx, "--namespace="+operatorNamespace, "get", "pods", "--output=jsonpath={.items[*].metadata.name}")
	errs := []error{err}
	ask := map[string][]string{
		"events":   {"get", "events", "--all-namespaces", "--output=yaml"},
		"objects":  {"get", "externalsecrets,secretstores,clustersecretstores,rotations,pods,deployments,configmaps,serviceaccounts", "--all-namespaces", "--output=yaml"},
		"table":    {"get", "externalsecrets,secretstores,rotations,pods", "--all-namespaces"},
		"describe": {"describe", "externalsecrets,secretstores,rotations,secrets", "--all-namespaces"},
		"pod.log":  {"logs", "--namespace=" + appNamespace, "my-app"},
		"shop.log": {"logs", "--namespace=" + shop.Namespace, "--selector=part-of=shop", "--prefix", "--tail=-1"},
	}
	for i, pod := range strings.Fields(pods) {
		ask[fmt.Sprintf("operator-%d.log", i)] = []string{"logs", "--namespace=" + operatorNamespace, pod}
		ask[fmt.Sprintf("operator-%d-metrics", i)] = []string{"get", "--raw",
			fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%s/proxy/metrics", operatorNamespace, pod, operatorMetricsPort)}
	}
	for name, args := range ask {
		out, err := d.kube.run(ctx, args...)
		errs = append(errs, err, d.keep(name, []byte(out)))
	}
	metrics, err := d.serverMetrics(ctx)
	return errors.Join(append(errs, err, d.keep("server-metrics", metrics))...)
}

func (d *demo) keep(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(d.collected(), name), content, 0o600); err != nil {
		return fmt.Errorf("collecting: %w", err)
	}
	return nil
}

// serverMetrics reads sys/metrics as Prometheus does.
func (d *demo) serverMetrics(ctx context.Context) ([]byte, error) {
	client, err := d.server.Client(d.server.Token)
	if err != nil {
		return nil, err
	}
	r, err := client.Logical().ReadRawWithDataWithContext(ctx, "sys/metrics", map[string][]string{"format": {"prometheus"}})
	if err != nil {
		return nil, fmt.Errorf("reading the server's metrics: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	metrics, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the server's metrics: %w", err)
	}
	return metrics, nil
}

// explain tells the user why a run ended, what the parts said, and what to do
// next. The parts' logs are kept.
func (d *demo) explain(err error) {
	if errors.Is(err, errInterrupted) {
		d.report.Fail("interrupted")
		return
	}
	first, rest, _ := strings.Cut(err.Error(), "\n")
	d.report.Fail(first)
	for line := range strings.Lines(rest) {
		d.report.Say("  " + strings.TrimSuffix(line, "\n"))
	}
	kept := d.keepLogs()
	if d.server != nil {
		d.tail(filepath.Join(d.server.LogDir, "server.log"))
	}
	for _, name := range []string{"operator-0.log", "operator-1.log", "table"} {
		d.tail(filepath.Join(d.collected(), name))
	}
	if kept != "" {
		d.report.Say("\nall logs are in " + kept + "\nnext: less " + filepath.Join(kept, "log", "server.log") + ", then make demo again")
	} else {
		d.report.Say("\nnext: make demo again, once this is mended")
	}
}

func (d *demo) tail(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		d.report.Say("end of " + filepath.Base(path) + ":\n" + process.Tail(path))
	}
}

// keepLogs copies what the parts have said to the build folder, and returns
// where it is, or nothing.
func (d *demo) keepLogs() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if d.server != nil {
		_ = d.collect(ctx) // what can be had
	}
	to := filepath.Join(d.root, "build", "demo-logs")
	if err := os.RemoveAll(to); err != nil {
		return ""
	}
	from := map[string]string{"collected": d.collected(), "log": filepath.Join(d.dir, "log")}
	if d.cluster != nil {
		from["cluster"] = d.cluster.LogDir()
	}
	if d.server != nil {
		from["audit"] = filepath.Dir(d.server.AuditFile())
	}
	some := ""
	for name, dir := range from {
		if os.CopyFS(filepath.Join(to, name), os.DirFS(dir)) == nil {
			some = to
		}
	}
	return some
}
