package logtap_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/vault/server/logtap"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		level, format string
		want          slog.Level
		json, bad     bool
	}{
		{"", "", slog.LevelInfo, false, false}, {"debug", "json", slog.LevelDebug, true, false}, {"trace", "standard", slog.LevelDebug, false, false},
		{"ERROR", "", slog.LevelError, false, false}, {"loud", "", 0, false, true}, {"", "xml", 0, false, true},
	} {
		level, asJSON, err := logtap.Parse(c.level, c.format)
		if level != c.want || asJSON != c.json || (err != nil) != c.bad {
			t.Errorf("%q %q: %v %v %v", c.level, c.format, level, asJSON, err)
		}
	}
}

// Without anybody who watches, the log is what it was.
func TestHandlerIsTransparent(t *testing.T) {
	var plain, tapped bytes.Buffer
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, log := range []*slog.Logger{
		slog.New(slog.NewTextHandler(&plain, options)), slog.New(new(logtap.Tap).Handler(slog.NewTextHandler(&tapped, options), slog.LevelInfo)),
	} {
		log.With("a", 1).WithGroup("g").Info("hello", "b", 2)
		log.Debug("not shown")
	}
	if plain.String() != tapped.String() || !strings.Contains(plain.String(), "a=1 g.b=2") {
		t.Errorf("%q, without the tap %q", tapped.String(), plain.String())
	}
}

// sys/monitor by the official client: lines of the level asked for, though the
// log itself is not so talkative, until the client goes away.
func TestMonitor(t *testing.T) {
	var log buffer.Buffer
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	for format, check := range map[string]func(line string) bool{
		"standard": func(line string) bool { return strings.Contains(line, "msg=") && strings.Contains(line, "sealed") },
		"json": func(line string) bool {
			var m map[string]any
			return json.Unmarshal([]byte(line), &m) == nil && m["msg"] != "" && strings.Contains(line, "sealed")
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		client := v.NewClient(v.Root)
		lines, err := client.Sys().Monitor(ctx, "debug", format)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Sys().Seal(); err != nil {
			t.Fatal(err)
		}
		found := false
		for !found {
			line, ok := <-lines
			if !ok {
				break
			}
			found = check(line)
			if strings.Contains(line, v.Root) {
				t.Error("a line holds the token")
			}
		}
		if !found {
			t.Errorf("%s: the sealing was not seen", format)
		}
		cancel()
		v.Unseal()
	}
	if strings.Contains(log.String(), "vault is sealed") {
		t.Error("the log itself became more talkative")
	}
	for path, status := range map[string]int{"sys/monitor?log_level=loud": 400, "sys/monitor?log_format=xml": 400} {
		if a := v.HTTP("GET", path, nil); a.Status != status {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := v.HTTP("GET", "sys/monitor", nil, "X-Vault-Token", v.Policy("p", `path "sys/monitor" { capabilities = ["read"] }`)); a.Status != 403 {
		t.Errorf("without sudo: %d %s", a.Status, a.Body)
	}
}
