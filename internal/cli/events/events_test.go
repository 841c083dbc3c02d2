package events_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// run has the command line run as token until ctx ends.
func run(ctx context.Context, v *testenv.Vault, token string, out, err io.Writer, args ...string) int {
	settings := map[string]string{"VAULT_ADDR": v.Server.URL(), "VAULT_CACERT": v.Server.CAFile(), "VAULT_TOKEN": token}
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr = ctx, strings.NewReader(""), out, err
	env.Getenv = func(name string) string { return settings[name] }
	return cli.Main(args, env)
}

func start(t *testing.T) *testenv.Vault {
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSubscribe(t *testing.T) {
	v := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	var complaint bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, v, v.Root, in, &complaint, "events", "subscribe", "-count=2", "-timestamps", "kv-v2/data-write")
		_ = in.Close()
	}()
	writing, stop := context.WithCancel(ctx)
	wrote := make(chan struct{})
	go func() { // nobody says when the subscription stands: write until it is told of
		defer close(wrote)
		for writing.Err() == nil {
			if _, err := v.KVv2("secret").Put(writing, "my-app/config", map[string]any{"password": "canary-5f2c"}); err != nil && writing.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	var lines []string
	for s := bufio.NewScanner(out); s.Scan(); {
		lines = append(lines, s.Text())
	}
	stop()
	<-wrote
	if got := <-code; got != 0 || len(lines) != 2 {
		t.Fatalf("exit code %d, %q, %d lines", got, complaint.String(), len(lines))
	}
	for _, line := range lines {
		at, event, _ := strings.Cut(line, " | ")
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			t.Error(err)
		}
		var e struct {
			Data struct {
				Event struct{ Metadata map[string]any }
			}
		}
		if err := json.Unmarshal([]byte(event), &e); err != nil || e.Data.Event.Metadata["data_path"] != "secret/data/my-app/config" {
			t.Errorf("%v: %s", err, event)
		}
		if strings.Contains(line, "canary-5f2c") {
			t.Error("an event holds the value")
		}
	}
}

func TestSubscribeRefused(t *testing.T) {
	v := start(t)
	for name, c := range map[string]struct {
		token string
		args  []string
		code  int
		want  string
	}{
		"no right":   {v.Policy("none", `path "x" { capabilities = ["read"] }`), []string{"kv-v2/*"}, 4, "permission denied"},
		"bad token":  {"hvs.nobody", []string{"kv-v2/*"}, 4, "permission denied"},
		"no type":    {v.Root, nil, 2, "TYPE"},
		"odd option": {v.Root, []string{"-since=yesterday", "*"}, 2, "since"},
	} {
		var out, complaint bytes.Buffer
		code := run(t.Context(), v, c.token, &out, &complaint, append([]string{"events", "subscribe"}, c.args...)...)
		if code != c.code || !strings.Contains(complaint.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q %q; want %d, %q", name, code, complaint.String(), out.String(), c.code, c.want)
		}
	}
}

// An interruption ends the command well; the end of the vault does not.
func TestSubscriptionEnds(t *testing.T) {
	v := start(t)
	for name, c := range map[string]struct {
		end  func(interrupt func())
		code int
	}{
		"interrupted": {func(interrupt func()) { interrupt() }, 0},
		"sealed": {func(func()) {
			if err := v.Sys().Seal(); err != nil {
				t.Error(err)
			}
		}, errs.Unavailable.ExitCode()},
	} {
		v.Unseal()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		var complaint bytes.Buffer
		code := make(chan int, 1)
		lines, in := io.Pipe()
		go func() {
			code <- run(ctx, v, v.Root, in, &complaint, "events", "subscribe", "*")
			_ = in.Close()
		}()
		writing, stop := context.WithCancel(t.Context())
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for writing.Err() == nil {
				_, _ = v.KVv2("secret").Put(writing, "x", map[string]any{"a": "b"})
			}
		}()
		s := bufio.NewScanner(lines)
		s.Scan()
		stop()
		<-wrote
		c.end(interrupt)
		for s.Scan() {
			continue // the rest is not looked at
		}
		if got := <-code; got != c.code {
			t.Errorf("%s: exit code %d, want %d: %s", name, got, c.code, complaint.String())
		}
	}
}
