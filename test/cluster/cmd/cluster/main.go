// Command cluster runs a real Kubernetes for development.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/cluster/build"
	"github.com/strongkeep/strongkeep/test/cluster/minder"
	"github.com/strongkeep/strongkeep/test/cluster/node"
)

const usage = `cluster runs a real Kubernetes for development, built from Go modules.

Usage:
  cluster up [flags]      start a cluster, print how to use it, stay until Ctrl-C
  cluster build [flags]   build its programs into the cache and end
  cluster help            print this

Flags:
  --no-node               control plane only: no pods run. Without root it is the
                          default; with root a node runs too
  --dir DIR               keep the cluster's state and logs in DIR (default: a
                          temporary directory, removed at the end)
  --keep-logs             keep the logs in the temporary directory
  --api-flag FLAG         another flag of kube-apiserver; may be repeated

Environment:
  STRONGKEEP_CACHE        where built programs are kept (default: strongkeep in
                          $XDG_CACHE_HOME or ~/.cache); about 600 MB

Example:
  go run ./test/cluster/cmd/cluster up --no-node

The first start builds Kubernetes, which takes minutes; later ones take seconds.
Exit status: 0 ended as asked, 1 something failed, 2 wrong usage.
`

func main() {
	if len(os.Args) > 1 {
		part(os.Args[1], os.Args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "cluster: interrupted before it was ready; what was built so far is kept")
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// part does what a cluster runs this program for, and then exits. It returns if
// command is one for people.
func part(command string, args []string) {
	var err error
	switch {
	case command == minder.Command && len(args) == 0:
		minder.Run(os.Stdin, os.Stdout)
		os.Exit(0)
	case command == node.InitCommand && len(args) == 0:
		err = node.Init(os.Stdin)
	case command == node.ExecCommand && len(args) > 0:
		err = node.Exec(args)
	default:
		return
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	os.Exit(1)
}

// errUsage says that the user has been told what is wrong.
var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	command := "help"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	config := cluster.Config{Node: os.Getuid() == 0, Log: stderr}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	noNode := flags.Bool("no-node", false, "")
	flags.StringVar(&config.Dir, "dir", "", "")
	flags.BoolVar(&config.KeepLogs, "keep-logs", false, "")
	flags.Func("api-flag", "", func(s string) error {
		config.APIServerFlags = append(config.APIServerFlags, s)
		return nil
	})
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *noNode {
		config.Node = false
	}
	switch {
	case errors.Is(err, flag.ErrHelp), command == "help", command == "-h", command == "-help", command == "--help":
		say(stdout, usage)
		return nil
	case command != "up" && command != "build":
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		say(stderr, "cluster: %v; see `cluster help`\n", err)
		return errUsage
	}
	if !config.Node && !*noNode {
		say(stderr, "not root: control plane only, pods will stay pending\n")
	}
	if command == "build" {
		return buildAll(ctx, config.Node, stdout, stderr)
	}
	return up(ctx, config, stdout, stderr)
}

func buildAll(ctx context.Context, withNode bool, stdout, stderr io.Writer) error {
	scope := build.ControlPlane
	if withNode {
		scope = build.Node
	}
	programs, err := build.Ensure(ctx, scope, stderr)
	if err != nil {
		return err
	}
	if _, err := build.Helpers(ctx); err != nil {
		return err
	}
	say(stdout, "%d programs are in the cache; kubectl is %s\n", len(programs), programs["kubectl"])
	return nil
}

func up(ctx context.Context, config cluster.Config, stdout, stderr io.Writer) error {
	begin := time.Now()
	c, err := cluster.Start(ctx, config)
	if err != nil {
		return err
	}
	say(stdout, "\nThe cluster is ready after %v. In another shell:\n\n", time.Since(begin).Round(100*time.Millisecond))
	say(stdout, "  export KUBECONFIG=%s\n  export PATH=%s:$PATH\n  kubectl get all -A\n\n", c.Kubeconfig(), c.Bin())
	say(stdout, "API server  %s\nlogs        %s\n", c.URL(), c.LogDir())
	if c.NodeName() != "" {
		say(stdout, "pods reach processes of this machine at %s\n", c.HostIP())
	}
	say(stdout, "Ctrl-C ends it.\n")
	select {
	case <-ctx.Done():
		say(stderr, "stopping\n")
		return c.Stop()
	case <-c.Gone():
		return errors.Join(errors.New("the cluster ended by itself"), c.Stop())
	}
}

// say prints to people; when they no longer listen, nothing can be done.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
