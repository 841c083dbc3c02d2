package member_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// childEnv has the configuration of a process that is to be killed.
const childEnv = "STRONGKEEP_TEST_MEMBER_CHILD"

func TestMain(m *testing.M) {
	if cfg := os.Getenv(childEnv); cfg != "" {
		if err := child(cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child is a member that writes until it is killed, a key of its own each time, and prints
// the number of each that was acknowledged.
func child(text string) error {
	var cfg member.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	cfg.Key, cfg.Log = key, slog.New(slog.DiscardHandler)
	m, err := member.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	s, err := etcd.Open(context.Background(), etcd.Config{Client: m.Client(), Log: cfg.Log})
	if err != nil {
		return err
	}
	start := time.Now().UnixNano()
	for n := range 1_000_000 {
		name := fmt.Sprintf("log/%s/%d-%d", cfg.Name, start, n)
		if _, err := s.Apply(context.Background(), store.Put(name, []byte(name))); err == nil {
			fmt.Println(name)
		}
	}
	return nil
}

// process is a child.
type process struct {
	command *exec.Cmd
	lines   *bufio.Scanner
	told    []string // keys that were acknowledged
}

func run(t *testing.T, cfg member.Config) *process {
	t.Helper()
	cfg.Log, cfg.Now = nil, nil
	text, err := json.Marshal(map[string]any{"Dir": cfg.Dir, "Name": cfg.Name, "Peers": cfg.Peers, "Listen": cfg.Listen})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{command: exec.Command(os.Args[0])}
	p.command.Env, p.command.Stderr = append(os.Environ(), childEnv+"="+string(text)), os.Stderr
	out, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	t.Cleanup(func() { p.kill() })
	return p
}

// acknowledged reads n keys more.
func (p *process) acknowledged(t *testing.T, n int) {
	t.Helper()
	for range n {
		if !p.lines.Scan() {
			t.Fatal("a member ended")
		}
		p.told = append(p.told, p.lines.Text())
	}
}

// kill ends it at once, and reads what it had printed.
func (p *process) kill() {
	_ = p.command.Process.Signal(syscall.SIGKILL)
	for p.lines.Scan() {
		p.told = append(p.told, p.lines.Text())
	}
	_ = p.command.Wait()
}

// Members are killed at any moment, one after the other and all at once; what they had
// acknowledged is there.
func TestKill(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	processes := make([]*process, len(all))
	for i, cfg := range all {
		processes[i] = run(t, cfg)
	}
	var told []string
	for i := range processes {
		for _, p := range processes {
			p.acknowledged(t, 20)
		}
		processes[i].kill()
		told = append(told, processes[i].told...)
		processes[(i+1)%3].acknowledged(t, 50) // the others go on
		processes[i] = run(t, all[i])
		processes[i].acknowledged(t, 1)
	}
	for _, p := range processes {
		p.kill()
		told = append(told, p.told...)
	}
	s := storeOf(t, together(t, all)[1], etcd.Config{})
	for _, name := range told {
		if e, err := s.Get(t.Context(), name); err != nil || string(e.Value) != name {
			t.Fatalf("%s was acknowledged and is %q, %v", name, e.Value, err)
		}
	}
	t.Logf("%d writes acknowledged, none lost", len(told))
}
