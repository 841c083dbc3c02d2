package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/kms"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// output is where the figures go, below the repository.
const output = "build/bench.json"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0 if all bounds held, 1 if not or if something
// could not be measured, 2 for wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", "", "run this benchmark only, or all whose names begin with it and a dash")
	duration := f.Duration("duration", 10*time.Second, "how long a server is under load; its reference is for half as long, twice")
	binary := f.String("binary", "", "measure this binary instead of building one")
	empty := f.String("serve-empty", "", "serve an empty handler at this address; the benchmarks start it themselves")
	plugin := f.String("serve-empty-plugin", "", "serve a KMS plugin that does nothing at this socket; the benchmarks start it themselves")
	if err := f.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *empty != "" {
		return exitCode(stderr, serveEmpty(ctx, *empty))
	}
	if *plugin != "" {
		return exitCode(stderr, kms.ServeEmpty(ctx, *plugin))
	}
	chosen, err := selected(benchmarks(), *only)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	if err := rig.OnTwoCores(stderr); err != nil {
		return exitCode(stderr, err)
	}
	return exitCode(stderr, measure(ctx, chosen, stdout, rig.Config{
		Duration: *duration, Binary: *binary, Progress: stderr,
	}))
}

func exitCode(stderr io.Writer, err error) int {
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

var errBounds = errors.New("not all bounds held")

// measure runs the benchmarks one after the other and writes what came of it,
// also when some failed.
func measure(ctx context.Context, chosen []benchmark, table io.Writer, c rig.Config) error {
	b, err := rig.Prepare(ctx, c)
	if err != nil {
		return err
	}
	defer b.Close()
	var figures []figure.Figure
	var problems []error
	for _, one := range chosen {
		b.Say("%s", one.name)
		got, err := one.run(ctx, b)
		if err != nil {
			got = append(got, figure.Failed(one.name))
			problems = append(problems, fmt.Errorf("measuring %s: %w", one.name, err))
			b.Say("  %v", err)
		}
		figures = append(figures, got...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := figure.Print(table, figures); err != nil {
		return err
	}
	if err := figure.WriteJSON(filepath.Join(b.Root, output), figures); err != nil {
		return err
	}
	if len(problems) == 0 && !figure.AllOK(figures) {
		problems = append(problems, errBounds)
	}
	return errors.Join(problems...)
}
