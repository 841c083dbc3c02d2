// Command node is a server of the harness: internal/app as people run it, with a clock that may be wrong and two more engines, "turns" and "creds".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run() error {
	c := app.ServerConfig{LogLevel: "info"}
	target := flag.String("target", "", "HOST:PORT of what leases stand for")
	etcd := flag.String("etcd", "", "URLs of etcd; without these and members an embedded store")
	members := flag.String("members", "", "all nodes that form an etcd cluster of their own, NAME=URL")
	flag.StringVar(&c.ClusterKeyFile, "cluster-key", "", "that members share")
	skew := flag.Duration("skew", 0, "how wrong the wall clock is")
	flag.StringVar(&c.NodeName, "name", "", "of this node")
	flag.StringVar(&c.DataDir, "data", "", "directory")
	flag.StringVar(&c.Listen, "listen", "", "HOST:PORT")
	flag.StringVar(&c.TLSCert, "cert", "", "PEM file")
	flag.StringVar(&c.TLSKey, "key", "", "PEM file")
	flag.StringVar(&c.UnsealKeyFile, "unseal-key-file", "", "see strongkeep server")
	flag.StringVar(&c.UnsealKeyStore, "unseal-key-store", "", "see strongkeep server")
	flag.Parse()
	c.Engines = map[string]engine.Factory{"turns": newTurns(os.Stdout), "creds": newCreds(*target)}
	if *etcd != "" {
		c.Storage, c.EtcdEndpoints, c.SharedStore = "etcd", strings.Split(*etcd, ","), true
		c.EtcdTimeout = "3s"
	}
	if *members != "" {
		c.Storage, c.ClusterMembers, c.ClusterNode = settings.Storage, strings.Split(*members, ","), c.NodeName
	}
	// The same offset for the life of the process: a difference of two readings is what it
	// is on a machine whose clock is wrong.
	c.Now = func() time.Time { return time.Now().Add(*skew) }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := app.NewServer(ctx, c)
	if err != nil {
		return err
	}
	err = server.Serve(ctx)
	if closing := server.Close(); err == nil {
		err = closing
	}
	return err
}
