package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	kind, address, database, query string

	source, dir    string
	reload         time.Duration
	workers        int
	every, life    time.Duration
	listen, report string
	name           string

	crashAs, unreadyAs string
}

// Values of the flag source.
const (
	fromEnv  = "env"
	fromFile = "file"
)

func parse(args []string, output io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("sample", flag.ContinueOnError)
	f.SetOutput(output)
	f.StringVar(&c.kind, "kind", "postgres", "postgres or mariadb")
	f.StringVar(&c.address, "address", "", "host:port of the database")
	f.StringVar(&c.database, "database", "", "name of the database")
	f.StringVar(&c.query, "query", "SELECT 1", "what is asked without pause")
	f.StringVar(&c.source, "source", fromEnv, "env: DB_USERNAME and DB_PASSWORD; file: username and password in -dir")
	f.StringVar(&c.dir, "dir", "/etc/db", "where the Secret is mounted")
	f.DurationVar(&c.reload, "reload", 100*time.Millisecond, "how often files are looked at; 0: at the start only, an application that never reloads")
	f.IntVar(&c.workers, "workers", 4, "queries at once")
	f.DurationVar(&c.every, "every", 10*time.Millisecond, "pause of a worker between two queries")
	f.DurationVar(&c.life, "life", 300*time.Millisecond, "how long a connection is used")
	f.StringVar(&c.listen, "listen", ":8080", "where to serve HTTP")
	f.StringVar(&c.report, "report", "", "URL to POST Stats to, every second and at the end")
	f.StringVar(&c.name, "name", os.Getenv("POD_NAME"), "who reports")
	f.StringVar(&c.crashAs, "crash-as", "", "exit at the start if this is the user")
	f.StringVar(&c.unreadyAs, "unready-as", "", "never be ready if this is the user")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.kind != "postgres" && c.kind != "mariadb":
		return c, fmt.Errorf("-kind %q: use postgres or mariadb", c.kind)
	case c.source != fromEnv && c.source != fromFile:
		return c, fmt.Errorf("-source %q: use env or file", c.source)
	case c.address == "" || c.workers < 1:
		return c, errors.New("-address and at least one of -workers are needed")
	}
	return c, nil
}

// run is the whole life of the application. It ends when ctx does, after the
// queries under way and the last report.
func run(ctx context.Context, args []string, out io.Writer) error {
	c, err := parse(args, out)
	if err != nil {
		return err
	}
	first, err := c.credential()
	if err != nil {
		return err
	}
	if c.crashAs != "" && first.user == c.crashAs {
		return fmt.Errorf("told to crash as user %q", first.user)
	}
	a, err := newApp(c, first)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	_, _ = fmt.Fprintf(out, "listening %s\n", l.Addr())
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()

	var running sync.WaitGroup
	for range c.workers {
		running.Go(func() { a.work(ctx) })
	}
	running.Go(func() { a.follow(ctx) })
	reporter := newReporter(c.report, a.stats)
	running.Go(func() { reporter.run(ctx) })
	running.Wait()

	a.close()
	_ = server.Close()
	<-served
	_, _ = fmt.Fprintf(out, "final %s\n", a.stats(true))
	return reporter.last()
}
