package wrk

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

//go:embed requests.lua
var requests string // a script that makes them

// Fixed is a script that sends one request again and again. Its arguments are
// a method, a path, a token and a body; "" is none of the last two.
//
//go:embed fixed.lua
var Fixed string

//go:embed report.lua
var report string // a script that tells of them

// Load is what wrk is to do.
type Load struct {
	URL         string
	Script      string   // makes the requests; "" = requests.lua
	Args        []string // of the script; nil = get URL again and again, without one
	Connections int
	Duration    time.Duration
}

// Outcome is what the scripts report.
type Outcome struct {
	Requests int64 `json:"requests"` // answered
	Micros   int64 `json:"micros"`
	P50      int64 `json:"p50"`     // µs
	P99      int64 `json:"p99"`     // µs
	Failed   int64 `json:"failed"`  // connections refused, broken, too slow
	Refused  int64 `json:"refused"` // answers with a status of 400 and above
}

// PerSecond is how many requests were answered in one.
func (o Outcome) PerSecond() float64 { return float64(o.Requests) / (float64(o.Micros) / 1e6) }

// P99ms is P99 in ms.
func (o Outcome) P99ms() float64 { return float64(o.P99) / 1e3 }

// Run runs one load. Any request that was not answered well is an error: what
// fails fast must not look fast.
func Run(ctx context.Context, b *rig.Rig, l Load) (Outcome, error) {
	path, err := ensure(ctx, b)
	if err != nil {
		return Outcome{}, err
	}
	text := report
	switch {
	case l.Script != "":
		text += l.Script
	case l.Args != nil:
		text += requests
	}
	script, err := write(b.Dir, text)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = os.Remove(script) }()
	args := []string{
		"-t1", "-c" + strconv.Itoa(l.Connections), "-d" + strconv.Itoa(max(1, int(l.Duration.Seconds()))) + "s",
		"--timeout", "10s", "-s", script, l.URL, "--",
	}
	out, err := rig.Command(ctx, b.Dir, path, append(args, l.Args...)...)
	if err != nil {
		return Outcome{}, err
	}
	o, err := parseOutcome(out)
	if err != nil {
		return Outcome{}, err
	}
	if o.Failed+o.Refused > 0 {
		return o, errs.Newf(errs.Unavailable, "of %d requests %d failed and %d were refused", o.Requests, o.Failed, o.Refused)
	}
	return o, nil
}

// write makes a file of the script, of its own for each load: several may run at once.
func write(dir, text string) (string, error) {
	f, err := os.CreateTemp(dir, "load-*.lua")
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "making the script of wrk: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errs.Newf(errs.Unavailable, "writing the script of wrk: %w", err)
	}
	return f.Name(), nil
}

// parseOutcome finds the script's report, the last line of wrk's output.
func parseOutcome(out string) (o Outcome, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil {
		return o, errs.Newf(errs.Unavailable, "wrk reported nothing; it printed: %q", out)
	}
	if o.Requests <= 0 || o.Micros <= 0 {
		return o, errs.New(errs.Unavailable, "wrk had no request answered")
	}
	return o, nil
}

// ensure finds the load generator, or installs it where it may.
func ensure(ctx context.Context, b *rig.Rig) (string, error) {
	if path, err := exec.LookPath("wrk"); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return "", errs.New(errs.Unavailable, "the load generator wrk is not installed: apt-get install wrk (as root), or https://github.com/wg/wrk")
	}
	b.Say("installing wrk")
	if _, err := rig.Command(ctx, b.Dir, "apt-get", "install", "-y", "-q", "wrk"); err != nil {
		if _, err := rig.Command(ctx, b.Dir, "apt-get", "update", "-q"); err != nil {
			return "", err
		}
		if _, err := rig.Command(ctx, b.Dir, "apt-get", "install", "-y", "-q", "wrk"); err != nil {
			return "", err
		}
	}
	return exec.LookPath("wrk")
}
