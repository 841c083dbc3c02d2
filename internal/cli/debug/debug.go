package debug

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// collector is one run of the debug command.
type collector struct {
	*session.Session
	duration, interval time.Duration
	output, level      string
	targets            []string
	client             *vault.Client
}

// Command returns the debug command.
func Command(s *session.Session) *cobra.Command {
	d := &collector{Session: s}
	c := &cobra.Command{
		Use: "debug", Short: "Collect what helps to find out what is wrong, in one file without secrets", Args: session.Args(0, 0),
		Long: `Collect a server's state, metrics, mounts, leases and log for a while, in a .tar.gz
to look at or to send. It holds no secret: of mounts only types and settings are
taken, no descriptions or options, and what looks like a token or a private key is
taken out. What cannot be collected (no right, say) is noted in its index.json.

Targets: ` + strings.Join(targets(), ", ") + `.`,
		Example: "  strongkeep debug -duration=1m -interval=10s -output=vault.tar.gz\n  strongkeep debug -duration=0 -target=metrics -target=leases",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if err := d.check(); err != nil {
				return err
			}
			if d.client, err = s.Client(); err != nil {
				return err
			}
			d.client.SetMaxRetries(0)
			return d.run(c.Context())
		},
	}
	f := c.Flags()
	f.DurationVar(&d.duration, "duration", 2*time.Minute, "how long to collect; 0 = once")
	f.DurationVar(&d.interval, "interval", 30*time.Second, "how often")
	f.StringVar(&d.output, "output", "", "file to make; default: strongkeep-debug-TIME.tar.gz")
	f.StringVar(&d.level, "log-level", "debug", "of the log: debug, info, warn or error")
	f.StringSliceVar(&d.targets, "target", nil, "what to collect; may be repeated; default: everything")
	return c
}

func (d *collector) check() error {
	if d.duration < 0 || d.interval < time.Second {
		return errs.New(errs.Invalid, "-interval must be at least 1s, and -duration not below 0")
	}
	known := targets()
	for _, t := range d.targets {
		if !slices.Contains(known, t) {
			return errs.Newf(errs.Invalid, "-target %q: the targets are %s", t, strings.Join(known, ", "))
		}
	}
	if len(d.targets) == 0 {
		d.targets = known
	}
	return nil
}

func (d *collector) run(ctx context.Context) (err error) {
	dir := "strongkeep-debug-" + time.Now().UTC().Format("20060102T150405Z")
	path := session.First(d.output, dir+".tar.gz")
	b, err := create(path, dir, scrubber{[]byte(d.client.Token())})
	if err != nil {
		return err
	}
	b.index = index{
		Version: app.Version, Address: d.client.Address(), Started: time.Now().UTC(), Interval: d.interval.String(),
		Targets: d.targets, Files: []entry{}, Missing: []missing{},
	}
	err = d.collect(ctx, b)
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	for _, m := range b.index.Missing {
		d.Warn([]string{m.Name + ": " + m.Error})
	}
	if len(b.index.Files) == 0 {
		return errs.Newf(errs.Unavailable, "nothing could be collected; %s says why", path)
	}
	return d.Print(map[string]any{"file": path, "files": len(b.index.Files), "missing": b.index.Missing}, nil,
		[]session.Row{{fmt.Sprintf("Success! Collected %d files in %s", len(b.index.Files), path)}})
}

// collect does round after round until the time is over, or until it is
// interrupted: what there is by then is kept.
func (d *collector) collect(ctx context.Context, b *bundle) error {
	timed, cancel := context.WithTimeout(ctx, max(d.duration, 0))
	defer cancel()
	log := d.watch(timed, ctx)
	ticker := time.NewTicker(d.interval)
	defer ticker.Stop()
	for round := 0; ; round++ {
		if err := d.round(ctx, b, round); err != nil {
			return errors.Join(err, log(b, cancel))
		}
		select {
		case <-ticker.C:
		case <-timed.Done():
			return log(b, cancel)
		}
		if timed.Err() != nil { // both were ready
			return log(b, cancel)
		}
	}
}

func (d *collector) round(ctx context.Context, b *bundle, round int) error {
	for _, c := range captures() {
		if !slices.Contains(d.targets, c.target) || round > 0 && !c.again || ctx.Err() != nil {
			continue
		}
		content, err := c.get(ctx, d.client)
		if err != nil {
			err = d.Explain(err)
		}
		if err := b.add(fmt.Sprintf("%03d/%s/%s", round, c.target, c.name), content, err); err != nil {
			return err
		}
	}
	return nil
}

// watch follows the log until timed ends. The function returned ends it, waits,
// and adds what came to the archive.
func (d *collector) watch(timed, ctx context.Context) func(*bundle, context.CancelFunc) error {
	if !slices.Contains(d.targets, logTarget) || d.duration == 0 {
		return func(*bundle, context.CancelFunc) error { return nil }
	}
	var content bytes.Buffer
	var problem error
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines, err := follow(timed, d.client, d.level, "standard")
		if err != nil {
			problem = err
			return
		}
		for line := range lines {
			if content.Len() < maxCapture {
				content.WriteString(line + "\n")
			}
		}
	}()
	return func(b *bundle, cancel context.CancelFunc) error {
		cancel()
		<-done
		if problem != nil && ctx.Err() == nil {
			problem = d.Explain(problem)
		}
		return b.add("log.txt", content.Bytes(), problem)
	}
}
