package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/cluster/build"
	"github.com/strongkeep/strongkeep/test/demo/atrest"
	"github.com/strongkeep/strongkeep/test/demo/checklist"
	"github.com/strongkeep/strongkeep/test/demo/report"
	"github.com/strongkeep/strongkeep/test/demo/server"
)

// Names that the examples use.
const (
	appNamespace = "my-app"
	appAccount   = "my-app/my-app"
	secretPath   = "secret/my-app/config"
	secretName   = "my-app-secrets"
	secretKey    = "config"
	// audience is that of the tokens that log in: they are of no use at the API
	// server, nor its tokens here.
	audience = "strongkeep"
)

// build makes the binary and the programs of the pods.
func (d *demo) build(ctx context.Context) (report.Outcome, error) {
	if err := d.compile(ctx, "make", "--silent", "build"); err != nil {
		return report.Outcome{}, err
	}
	d.binary = filepath.Join(d.root, "build", "strongkeep")
	d.reader = filepath.Join(d.dir, "reader")
	d.sample = filepath.Join(d.dir, "sample")
	for program, source := range map[string]string{d.reader: "./test/demo/reader", d.sample: "./test/rotation/sample"} {
		err := d.compile(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, source)
		if err != nil {
			return report.Outcome{}, err
		}
	}
	version, err := exec.CommandContext(ctx, d.binary, "version").Output()
	if err != nil {
		return report.Outcome{}, fmt.Errorf("running build/strongkeep: %w", err)
	}
	return report.Outcome{Text: strings.TrimSpace(string(version)) + " in build/strongkeep, static"}, nil
}

// compile runs a build tool in the repository. It ends with what it has started.
func (d *demo) compile(ctx context.Context, tool string, args ...string) error {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = d.root
	for _, setting := range append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off") {
		// Ours may be the environment of another make.
		if name, _, _ := strings.Cut(setting, "="); name != "MAKEFLAGS" && name != "MFLAGS" && name != "MAKELEVEL" {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w:\n%s", tool, args[len(args)-1], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// programs builds Kubernetes, unless it is in the cache.
func (d *demo) programs(ctx context.Context) (report.Outcome, error) {
	all, err := build.Ensure(ctx, build.Node, d.report.Lines())
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: fmt.Sprintf("the %d programs of a Kubernetes are in %s", len(all), filepath.Dir(filepath.Dir(all["kubectl"])))}, nil
}

// startPlugin starts the KMS plugin, which needs no cluster.
func (d *demo) startPlugin(ctx context.Context) (report.Outcome, error) {
	logs, err := d.logs()
	if err != nil {
		return report.Outcome{}, err
	}
	if d.atRest, err = atrest.Prepare(ctx, atrest.Config{Binary: d.binary, Dir: filepath.Join(d.dir, "kms"), LogDir: logs, Canary: d.canaries.Add}); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "it runs before the cluster, with a key that API server and etcd never have"}, nil
}

// encryption is a step of the way of Secrets out of the clear.
func (d *demo) encryption(step func(*atrest.Act, context.Context, *cluster.Cluster) (report.Outcome, error)) func(context.Context) (report.Outcome, error) {
	return func(ctx context.Context) (report.Outcome, error) { return step(d.atRest, ctx, d.cluster) }
}

// startCluster starts control plane and node and loads the images.
func (d *demo) startCluster(ctx context.Context) (report.Outcome, error) {
	var err error
	if d.plane, err = checklist.Prepare(filepath.Join(d.dir, "control-plane"), d.example("audit-policy.yaml"), d.atRest.File()); err != nil {
		return report.Outcome{}, err
	}
	d.plane.Reports, d.plane.Public = d.atRest.Reports(), d.atRest.Public()
	d.cluster, err = cluster.Start(ctx, cluster.Config{
		Node: true, Dir: filepath.Join(d.dir, "cluster"), Log: d.log, APIServerFlags: append(d.plane.Flags(), d.atRest.Flags()...),
	})
	if err != nil {
		return report.Outcome{}, err
	}
	d.kube = kube{d.cluster}
	if err := d.loadImages(ctx); err != nil {
		return report.Outcome{}, err
	}
	about, err := d.kube.run(ctx, "get", "nodes", "-o=jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
	if err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "Kubernetes " + about + ", control plane and a real node, at " + d.cluster.URL()}, nil
}

// logs is the folder of the logs of everything that is ours.
func (d *demo) logs() (string, error) {
	dir := filepath.Join(d.dir, "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a directory for logs: %w", err)
	}
	return dir, nil
}

// startServer starts the vault where pods can reach it.
func (d *demo) startServer(ctx context.Context) (report.Outcome, error) {
	logs, err := d.logs()
	if err != nil {
		return report.Outcome{}, err
	}
	address, err := server.FreeAddress(ctx, d.cluster.HostIP())
	if err != nil {
		return report.Outcome{}, err
	}
	d.server = &server.Server{Binary: d.binary, Dir: filepath.Join(d.dir, "vault"), LogDir: logs, Address: address}
	if err := d.server.Start(ctx); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "the vault serves " + d.server.URL() + ", TLS by a CA of its own"}, nil
}

func (d *demo) initialise(ctx context.Context) (report.Outcome, error) {
	var made struct {
		Shares []string `json:"unseal_keys_b64"`
		Token  string   `json:"root_token"`
	}
	err := d.server.Read(ctx, &made, "", "operator", "init", "-key-shares=5", "-key-threshold=3")
	if err != nil {
		return report.Outcome{}, err
	}
	d.server.Shares, d.server.Token = made.Shares, made.Token
	d.canaries.Add("the root token", made.Token)
	for i, share := range made.Shares {
		d.canaries.Add(fmt.Sprintf("unseal share %d", i+1), share)
	}
	if len(made.Shares) != 5 {
		return report.Outcome{}, fmt.Errorf("init gave %d shares, not 5", len(made.Shares))
	}
	return report.Outcome{Text: "5 shares, any 3 of which unseal the vault"}, nil
}

func (d *demo) unseal(ctx context.Context) (report.Outcome, error) {
	s := d.server.Shares
	if err := d.server.Unseal(ctx, s[0], s[3]); err == nil {
		return report.Outcome{}, fmt.Errorf("two shares of five opened the vault")
	}
	if err := d.server.Unseal(ctx, s[4]); err != nil {
		return report.Outcome{}, err
	}
	return report.Outcome{Text: "open with the third share; two were not enough"}, nil
}

// allow mounts the kv engine and says what my-app may read.
func (d *demo) allow(ctx context.Context) (report.Outcome, error) {
	err := d.server.All(ctx,
		[]string{"secrets", "enable", "-path=secret", "-version=2", "kv"},
		[]string{"policy", "write", "my-app", d.example("my-app.hcl")})
	return report.Outcome{Text: "kv version 2 at secret/; policy my-app may read below secret/my-app"}, err
}

// trustCluster enables logins of ServiceAccounts, which the cluster's API server
// vouches for, and binds the role my-app to one of them.
func (d *demo) trustCluster(ctx context.Context) (report.Outcome, error) {
	if err := d.kube.apply(ctx, d.example("cluster.yaml")); err != nil {
		return report.Outcome{}, err
	}
	reviewer, err := d.kube.run(ctx, "create", "token", "token-reviewer", "--namespace=vault-auth", "--duration=24h")
	if err != nil {
		return report.Outcome{}, err
	}
	d.canaries.Add("the token of the token reviewer", reviewer)
	ca, err := os.ReadFile(d.cluster.CAFile())
	if err != nil {
		return report.Outcome{}, fmt.Errorf("reading the cluster's CA: %w", err)
	}
	config, err := json.Marshal(map[string]string{
		"kubernetes_host": d.cluster.URL(), "kubernetes_ca_cert": string(ca), "token_reviewer_jwt": reviewer,
	})
	if err != nil {
		return report.Outcome{}, fmt.Errorf("encoding the configuration: %w", err)
	}
	if err := d.server.All(ctx, []string{"auth", "enable", "kubernetes"}); err != nil {
		return report.Outcome{}, err
	}
	if _, err := d.server.CLI(ctx, string(config), "write", "auth/kubernetes/config", "-"); err != nil {
		return report.Outcome{}, err
	}
	err = d.server.All(ctx, []string{"write", "auth/kubernetes/role/my-app", "@" + d.example("my-app-role.json")})
	return report.Outcome{Text: "role my-app is for ServiceAccount " + appAccount + " alone, checked by TokenReview"}, err
}
