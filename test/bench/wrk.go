package main

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

//go:embed requests.lua
var requests string // a script that makes them

//go:embed report.lua
var report string // a script that tells of them

// load is what wrk is to do.
type load struct {
	url         string
	script      string   // makes the requests; "" = requests.lua
	secrets     []string // arguments of the script; nil = get url again and again, without one
	connections int
	duration    time.Duration
}

// outcome is what the scripts report.
type outcome struct {
	Requests int64 `json:"requests"` // answered
	Micros   int64 `json:"micros"`
	P50      int64 `json:"p50"`     // µs
	P99      int64 `json:"p99"`     // µs
	Failed   int64 `json:"failed"`  // connections refused, broken, too slow
	Refused  int64 `json:"refused"` // answers with a status of 400 and above
}

func (o outcome) perSecond() float64 { return float64(o.Requests) / (float64(o.Micros) / 1e6) }
func (o outcome) p99() float64       { return float64(o.P99) / 1e3 }

// wrk runs one load. Any request that was not answered well is an error: what
// fails fast must not look fast.
func (b *bench) wrk(ctx context.Context, l load) (outcome, error) {
	path, err := ensureWrk(ctx, b)
	if err != nil {
		return outcome{}, err
	}
	text := report
	switch {
	case l.script != "":
		text += l.script
	case l.secrets != nil:
		text += requests
	}
	script := filepath.Join(b.dir, "load.lua")
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return outcome{}, errs.Newf(errs.Unavailable, "writing the script of wrk: %w", err)
	}
	args := []string{
		"-t1", "-c" + strconv.Itoa(l.connections), "-d" + strconv.Itoa(max(1, int(l.duration.Seconds()))) + "s",
		"--timeout", "10s", "-s", script, l.url, "--",
	}
	out, err := command(ctx, b.dir, path, append(args, l.secrets...)...)
	if err != nil {
		return outcome{}, err
	}
	o, err := parseOutcome(out)
	if err != nil {
		return outcome{}, err
	}
	if o.Failed+o.Refused > 0 {
		return o, errs.Newf(errs.Unavailable, "of %d requests %d failed and %d were refused", o.Requests, o.Failed, o.Refused)
	}
	return o, nil
}

// parseOutcome finds the script's report, the last line of wrk's output.
func parseOutcome(out string) (o outcome, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil {
		return o, errs.Newf(errs.Unavailable, "wrk reported nothing; it printed: %q", out)
	}
	if o.Requests <= 0 || o.Micros <= 0 {
		return o, errs.New(errs.Unavailable, "wrk had no request answered")
	}
	return o, nil
}

// ensureWrk finds the load generator, or installs it where it may.
func ensureWrk(ctx context.Context, b *bench) (string, error) {
	if path, err := exec.LookPath("wrk"); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return "", errs.New(errs.Unavailable, "the load generator wrk is not installed: apt-get install wrk (as root), or https://github.com/wg/wrk")
	}
	b.say("installing wrk")
	if _, err := command(ctx, b.dir, "apt-get", "install", "-y", "-q", "wrk"); err != nil {
		if _, err := command(ctx, b.dir, "apt-get", "update", "-q"); err != nil {
			return "", err
		}
		if _, err := command(ctx, b.dir, "apt-get", "install", "-y", "-q", "wrk"); err != nil {
			return "", err
		}
	}
	return exec.LookPath("wrk")
}
