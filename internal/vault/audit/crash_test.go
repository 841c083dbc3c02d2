//go:build linux

package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
	"github.com/strongkeep/strongkeep/internal/vault/audit/verify"
)

// childDir tells the test binary that it is the child of a test and where to write.
const childDir = "STRONGKEEP_AUDIT_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// ofEach is how many pairs of lines each of a child's eight writers appends to
// a file that is limited. Then the child stands still: a kill amid a refused
// write would leave the part of a line that the child was about to take back.
const ofEach = 25

// child appends until it is killed, and says on standard output which lines
// were acknowledged: "ok N" or "refused TEXT"; "end" if it is at its end.
func child(dir string) {
	limit := os.Getenv("STRONGKEEP_AUDIT_CHILD_LIMIT")
	limitFileSize(limit)
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": file.New(file.Config{Dir: dir})}})
	err := b.Restore(audit.Spec{Path: "file", Type: "file", Options: map[string]string{"file_path": "a.log"}, Key: redact.New(bytes.Repeat([]byte{7}, audit.KeySize))})
	if err != nil {
		fmt.Println("refused", err)
		os.Exit(1)
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; limit == "0" || i < ofEach; i++ {
				id := fmt.Sprintf("%d.%d", w, i)
				if err := b.Append(entry(id), b.Append(entry(id+"?"), none)).Wait(context.Background()); err != nil {
					fmt.Println("refused", err)
					continue
				}
				fmt.Println("ok", id)
			}
		})
	}
	writers.Wait()
	fmt.Println("end")
	select {}
}

// killed runs a child in dir, kills it with SIGKILL after it said n lines, and
// returns all it said.
func killed(t *testing.T, dir string, n int, limit int64) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, "STRONGKEEP_AUDIT_CHILD_LIMIT="+strconv.FormatInt(limit, 10))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { _ = cmd.Process.Kill() }
	t.Cleanup(func() { once.Do(kill) })
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if lines = append(lines, scan.Text()); len(lines) == n {
			once.Do(kill)
		}
	}
	_ = cmd.Wait() // killed, which is an error
	if len(lines) < n {
		t.Fatalf("the child ended by itself after %d lines: %s", len(lines), stderr.String())
	}
	return lines
}

// mend opens the file as a restarted server would and writes one line.
func mend(t *testing.T, dir string) {
	t.Helper()
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": file.New(file.Config{Dir: dir})}})
	if err := b.Restore(spec("file", "a.log")); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(entry("mended"), none).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestKillLosesNoAcknowledgedLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	var acked []string
	for round := range 3 { // into the same file: each start meets the end the last one left
		for _, l := range killed(t, dir, 100+150*round, 0) {
			id, ok := strings.CutPrefix(l, "ok ")
			if !ok {
				t.Fatalf("the child says %q", l)
			}
			acked = append(acked, id)
		}
		// As a power cut would leave it: the last line torn.
		if round == 1 {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(`{"time":"2026-`); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	mend(t, dir)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const torn = "{\"time\":\"2026-\n"
	if bytes.Count(raw, []byte(torn)) != 1 {
		t.Errorf("the torn line was not ended, and only ended")
	}
	have := map[string]bool{}
	var last string
	broken := 0
	for l := range strings.Lines(string(raw)) {
		var e struct {
			Type    string
			Request struct{ ID string }
		}
		if json.Unmarshal([]byte(l), &e) != nil {
			broken++
			continue
		}
		if e.Type == "checkpoint" {
			continue
		}
		last = e.Request.ID
		have[last] = true
	}
	if broken > 4 { // one torn here, and at most one by each kill: the kernel may end a write at a page's end
		t.Errorf("%d lines are no JSON", broken)
	}
	for _, id := range acked {
		if !have[id] || !have[id+"?"] {
			t.Errorf("the acknowledged line %s is lost", id)
		}
	}
	// The chain went on over every kill: whatever a crash left, no line is taken for tampering.
	r, err := verify.Files(verify.Config{}, path)
	if err != nil || !r.OK() || r.Unproven != 0 {
		t.Errorf("after three kills: %+v %v", r, err)
	}
	if last != "mended" {
		t.Errorf("the last line is %q", last)
	}
}

// A short write, here by RLIMIT_FSIZE, leaves no part of a line behind.
func TestShortWritesLeaveWholeLines(t *testing.T) {
	dir := t.TempDir()
	const limit = 10_000 // bytes; not a multiple of a line
	lines := killed(t, dir, 8*ofEach+1, limit)
	if last := len(lines) - 1; lines[last] != "end" {
		t.Fatalf("the child says %q last", lines[last])
	}
	lines = lines[:len(lines)-1]
	path := filepath.Join(dir, "a.log")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > limit || len(raw) == 0 {
		t.Fatalf("the file has %d bytes", len(raw))
	}
	refused := 0
	mend(t, dir)
	have := map[string]bool{}
	for _, id := range ids(t, path) {
		have[id] = true
	}
	for _, l := range lines {
		id, ok := strings.CutPrefix(l, "ok ")
		switch {
		case !ok && !strings.Contains(l, "file too large; requests are refused until it can"):
			t.Fatalf("the child says %q", l)
		case !ok:
			refused++
		case !have[id] || !have[id+"?"]:
			t.Errorf("the acknowledged line %s is lost", id)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the limit had no effect")
	}
}
