package nodes_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_STRONGKEEP") != "" {
		os.Exit(cli.Main(os.Args[1:], session.System()))
	}
	os.Exit(m.Run())
}

// world is a machine on which nodes run.
type world struct {
	*testing.T
	paths *strings.Replacer
	env   []string
	nodes []*exec.Cmd
}

func newWorld(t *testing.T, paths ...string) *world {
	dir := t.TempDir()
	for _, d := range []string{"etc", "lib", "bin"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nTEST_AS_STRONGKEEP=1 exec " + me + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "bin/strongkeep"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, "/etc/strongkeep/", dir+"/etc/", "/var/lib/strongkeep/", dir+"/lib/")
	return &world{T: t, paths: strings.NewReplacer(paths...), env: append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "HOME="+dir, "GORACE=atexit_sleep_ms=10")}
}

// node starts a node by the page's command, until the test ends or it is killed.
func (w *world) node(line string) {
	line = w.paths.Replace(line)
	cmd := exec.Command("sh", "-c", "exec "+line)
	var log bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = w.env, &log, &log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.nodes = append(w.nodes, cmd)
	w.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err != nil {
				w.Errorf("%s\n%v\n%s", line, err, log.String())
			}
		}
	})
}

func (w *world) kill(n int) {
	if err := w.nodes[n].Process.Kill(); err != nil {
		w.Fatal(err)
	}
	_ = w.nodes[n].Wait()
}

// run runs a line, and keeps what it exports.
func (w *world) run(line string) (string, error) {
	line = w.paths.Replace(line)
	if exported, ok := strings.CutPrefix(line, "export "); ok {
		w.env = append(w.env, strings.Fields(exported)...)
		return "", nil
	}
	cmd := exec.CommandContext(w.Context(), "sh", "-ec", line)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// eventually runs a line until it works and says so.
func (w *world) eventually(line string, says ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	for {
		out, err := w.run(line)
		missing := ""
		for _, word := range says {
			if !strings.Contains(out, word) {
				missing = word
			}
		}
		if err == nil && missing == "" {
			return out
		}
		select {
		case <-ctx.Done():
			w.Fatalf("%s\n%v, does not say %q:\n%s", line, err, missing, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// initialise keeps the root token for what comes.
func (w *world) initialise(line string) {
	out := w.eventually(line, "Initial Root Token")
	token := regexp.MustCompile(`Initial Root Token: (\S+)`).FindStringSubmatch(out)
	if token == nil {
		w.Fatal("no root token")
	}
	w.env = append(w.env, "VAULT_TOKEN="+token[1])
}

// block is one of a page's blocks without a language, and the mark before it.
type block struct{ mark, text string }

func blocks(t *testing.T, name string) (all []block) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations/" + name)
	if err != nil {
		t.Fatal(err)
	}
	mark := ""
	for _, m := range regexp.MustCompile("(?ms)^<!-- (.*?) -->$|^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		switch {
		case m[1] != "":
			mark = m[1]
		case m[2] == "":
			all, mark = append(all, block{mark, strings.TrimSpace(m[3])}), ""
		}
	}
	return all
}

// lines are the commands of a page, and its marks, in order.
func lines(t *testing.T, name string) (all []string) {
	t.Helper()
	for _, b := range blocks(t, name) {
		if b.mark != "" {
			all = append(all, "# "+b.mark)
		}
		all = append(all, strings.Split(b.text, "\n")...)
	}
	return all
}

// The commands of the page do what it says: three nodes start, one is killed, and the others go on.
func TestPage(t *testing.T) {
	paths := []string{"http://127.0.0.1:2379", etcdtest.Shared(t).Endpoint + " -etcd-prefix=" + etcdtest.Prefix()}
	for _, p := range []string{"8200", "8210", "8220"} {
		free, err := port.Free(port.Host())
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, "127.0.0.1:"+p, fmt.Sprintf("%s:%d", port.Host(), free))
	}
	w := newWorld(t, paths...)
	mark, ran := "", 0
	for _, line := range lines(t, "nodes.md") {
		switch rest, is := strings.CutPrefix(line, "# "); {
		case is && rest == "kill: 1":
			w.kill(0)
		case is && rest == "wait: three":
			out := w.eventually("strongkeep operator members", "one", "two", "three", "true")
			t.Log(out)
		case is:
			mark = rest
		case mark == "node":
			w.node(line)
			mark = ""
		case strings.HasPrefix(line, "cat "):
			w.eventually(line) // when the nodes have made their certificates
		case strings.HasSuffix(line, "operator init"):
			w.initialise(line)
		default:
			says := []string{}
			if strings.Contains(line, "kv get") {
				says = append(says, "correct-horse")
			}
			w.eventually(line, says...)
			ran++
		}
	}
	if len(w.nodes) != 3 || ran < 8 {
		t.Errorf("%d nodes and %d commands: the page has more", len(w.nodes), ran)
	}
	w.eventually("strongkeep kv get secret/app", "battery-staple")
}
