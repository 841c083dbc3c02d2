package custody_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_STRONGKEEP") != "" {
		os.Exit(cli.Main(os.Args[1:], session.System()))
	}
	os.Exit(m.Run())
}

// world is a machine on which a vault runs, and the people who have its shares.
type world struct {
	*testing.T
	dir, token  string
	listen      string // "" = any port
	url, ca     string // of the server that runs
	stop        func()
	seals       atomic.Value // string, of the configuration; the server reads it again
	old, fresh  []string
	nonce       string
	otp, veiled string
}

func (w *world) write(name, content string, mode os.FileMode) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), mode); err != nil {
		w.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir()}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"etc", "bin"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.write("bin/strongkeep", "#!/bin/sh\nTEST_AS_STRONGKEEP=1 exec "+me+" \"$@\"\n", 0o700)
	t.Cleanup(w.end)
	return w
}

func (w *world) end() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func (w *world) configured() string {
	text, _ := w.seals.Load().(string)
	return text
}

// load reads the configuration as it is now.
func (w *world) load() (app.ServerConfig, error) {
	w.write("etc/server.yaml", "data_dir: "+w.dir+"/data\nlisten: "+cmp.Or(w.listen, "127.0.0.1:0")+"\nlog_level: error\n"+strings.ReplaceAll(w.configured(), "/etc/strongkeep/", w.dir+"/etc/"), 0o600)
	return app.LoadServerConfig(filepath.Join(w.dir, "etc/server.yaml"))
}

// start runs a server, as after a crash of the machine.
func (w *world) start() {
	w.Helper()
	w.end()
	c, err := w.load()
	if err != nil {
		w.Fatal(err)
	}
	c.Reread = w.load
	server, err := app.NewServer(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	w.url, w.ca = server.URL(), server.CAFile()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-served; err != nil {
			w.Error(err)
		}
		if err := server.Close(); err != nil {
			w.Error(err)
		}
	}
}

// run runs a command line as the page has it, with this machine's paths.
func (w *world) run(line, stdin string) (string, error) {
	out, err := w.prepared(line, stdin).CombinedOutput()
	return string(out), err
}

func (w *world) prepared(line, stdin string) *exec.Cmd {
	line = strings.NewReplacer("/etc/strongkeep/", w.dir+"/etc/", "NONCE", w.nonce, "ENCODED", w.veiled).Replace(line)
	cmd := exec.CommandContext(w.Context(), "sh", "-ec", line)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PATH="+w.dir+"/bin:"+os.Getenv("PATH"), "HOME="+w.dir, "GORACE=atexit_sleep_ms=10")
	if w.stop != nil {
		cmd.Env = append(cmd.Env, "VAULT_ADDR="+w.url, "VAULT_CACERT="+w.ca, "VAULT_TOKEN="+w.token)
	}
	return cmd
}

func (w *world) must(line, stdin string) string {
	w.Helper()
	out, err := w.run(line, stdin)
	if err != nil {
		w.Fatalf("%s\n%v\n%s", line, err, out)
	}
	return out
}

// all is what matches in an answer.
func all(out, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(out, -1) {
		found = append(found, m[1])
	}
	return found
}

func (w *world) one(out, pattern string) string {
	w.Helper()
	found := all(out, pattern)
	if len(found) == 0 {
		w.Fatalf("no %s in\n%s", pattern, out)
	}
	return found[len(found)-1]
}

// each gives shares one by one, and returns the last answer.
func (w *world) each(line string, shares []string) (out string) {
	w.Helper()
	for _, share := range shares {
		out = w.must(line, share+"\n")
	}
	return out
}

func (w *world) open() bool {
	w.Helper()
	out, _ := w.run("strongkeep operator status", "")
	return w.one(out, `(?m)^Sealed +(\w+)$`) == "false"
}

// command runs one command of the page, as the people do whom it is for.
func (w *world) command(line string) {
	w.Helper()
	has := func(words ...string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	}
	switch {
	case has("operator init"):
		out := w.must(line, "")
		w.old, w.token = all(out, `Unseal Key \d+: (\S+)`), w.one(out, `Initial Root Token: (\S+)`)
	case has("operator unseal -") && !has("unseal-key"):
		if w.open() {
			w.Error("it is open: there is nothing to show")
		}
		w.each(line, w.old[:2])
		if !w.open() {
			w.Error("shares do not open the vault")
		}
	case has("rekey", "-init"), has("generate-root", "-init"):
		stdin := ""
		if has("generate-root", "-share") {
			w.token = "" // who needs a root token has none
			stdin = w.fresh[2] + "\n"
		}
		out := w.must(line, stdin)
		w.nonce = w.one(out, `(?m)^Nonce +(\S+)$`)
		w.otp = strings.Join(all(out, `(?m)^OTP +(\S+)$`), "")
	case has("rekey", "-verify", "-nonce"):
		if out := w.each(line, w.fresh[:2]); !strings.Contains(out, "the old ones do not") {
			w.Error(out)
		}
	case has("rekey"):
		out := w.each(line, w.old[1:])
		w.fresh, w.nonce = all(out, `Key \d+: +(\S+)`), w.one(out, `-nonce=(\S+)`)
		if len(w.fresh) != 3 {
			w.Fatalf("%d new shares", len(w.fresh))
		}
	case has("generate-root", "-decode"):
		w.token = strings.TrimSpace(w.must(line, w.otp+"\n"))
	case has("generate-root"):
		w.veiled = w.one(w.each(line, w.fresh[:2]), `(?m)^Encoded Token +(\S+)$`)
	default:
		w.must(line, "")
	}
}

var step = regexp.MustCompile("(?s)<!-- server: (\\w+) -->|```(yaml)?\n(.*?)```")

// The page, from its first command to its last: what it says happens.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations/unsealing.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	commands := 0
	for _, found := range step.FindAllStringSubmatch(string(page), -1) {
		switch {
		case found[1] == "start":
			w.start()
		case found[1] == "lose":
			w.end()
			if err := os.Remove(filepath.Join(w.dir, "etc/unseal.key")); err != nil {
				t.Fatal(err)
			}
			w.start()
		case found[1] == "change":
			w.seals.Store("seals:\n- name: next\n  key_file: /etc/strongkeep/new.key\n")
		case found[2] == "yaml":
			w.seals.Store(found[3])
		default:
			for line := range strings.Lines(found[3]) {
				w.command(strings.TrimSpace(line))
				commands++
			}
		}
	}
	if commands != 13 {
		t.Errorf("%d commands", commands)
	}
	if out := w.must("strongkeep token lookup", ""); !strings.Contains(out, "root") {
		t.Errorf("the root token is none:\n%s", out)
	}
	out := w.must("strongkeep operator seals", "")
	if !regexp.MustCompile(`next +keyfile .* works`).MatchString(out) || strings.Contains(out, "disk") {
		t.Error(out)
	}
	w.start() // the new key opens it
	if !w.open() {
		t.Error("the new key does not open the vault")
	}
	w.must("strongkeep operator seal", "")
	if out, err := w.run("strongkeep operator unseal -", w.old[0]); err == nil {
		t.Errorf("an old share is taken:\n%s", out)
	}
	w.each("strongkeep operator unseal -", w.fresh[:2])
	if !w.open() {
		t.Error("the new shares do not open the vault")
	}
}

// What is wrong is said before anything is asked of people.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.command("strongkeep operator init -key-shares=2 -key-threshold=2")
	w.each("strongkeep operator unseal -", w.old)
	for line, say := range map[string]string{
		"strongkeep operator rekey -":                                     "-nonce is missing",
		"strongkeep operator rekey -nonce=x":                              "use - for standard input",
		"strongkeep operator rekey -status -target=x":                     "barrier or recovery",
		"strongkeep operator rekey -init -pgp-keys=keybase:ann -n 1 -t 1": "not looked up",
		"strongkeep operator rekey -init -pgp-keys=/nowhere -n 1 -t 1":    "reading a PGP key",
		"strongkeep operator rekey -verify -status":                       "waits for its verification",
		"strongkeep operator rekey -backup-retrieve":                      "no backed-up keys",
		"strongkeep operator generate-root -":                             "-nonce is missing",
		"strongkeep operator generate-root -decode=AAAA -otp=xxx":         "is not that of",
		"strongkeep operator generate-root -decode=AAAA -otp=x":           "do not belong together",
		"VAULT_TOKEN= strongkeep operator generate-root -init":            "one of the shares",
		"strongkeep operator seal-forget none":                            "no unseal key",
		"VAULT_TOKEN= strongkeep operator rekey -init":                    "",
	} {
		out, err := w.run(line, "x\n")
		if err == nil || !strings.Contains(out, say) {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if otp := strings.TrimSpace(w.must("strongkeep operator generate-root -generate-otp", "")); len(otp) != 95 {
		t.Errorf("a pad of %d characters", len(otp))
	}
	w.command("strongkeep operator generate-root -init")
	if out := w.must("strongkeep operator generate-root -status", ""); !strings.Contains(out, w.nonce) {
		t.Error(out)
	}
	w.must("strongkeep operator generate-root -cancel", "")
	w.command("strongkeep operator rekey -init -n 1 -t 1")
	if out := w.must("strongkeep operator rekey -status", ""); !strings.Contains(out, fmt.Sprintf("0/%d", len(w.old))) {
		t.Error(out)
	}
	w.must("strongkeep operator rekey -cancel", "")
}
