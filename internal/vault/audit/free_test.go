package audit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

// memory is a device in memory that fails as told.
type memory struct {
	mu      sync.Mutex
	lines   []string
	err     error
	longest int // lines longer than that are too large; 0 = none is
	tries   []time.Time
	reloads int
}

func (m *memory) Write(lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries = append(m.tries, time.Now())
	if m.err != nil {
		return m.err
	}
	for l := range strings.Lines(string(lines)) {
		if m.longest > 0 && len(l) > m.longest {
			return errs.New(errs.TooLarge, "too long")
		}
	}
	for l := range strings.Lines(string(lines)) {
		m.lines = append(m.lines, l)
	}
	return nil
}

func (m *memory) Reload() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reloads++
	return nil
}

func (*memory) Target() string { return "memory" }
func (*memory) Close() error   { return nil }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// got returns what came: request IDs, and "lost:N".
func (m *memory) got(t *testing.T) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, l := range m.lines {
		var e struct {
			Type    string
			Request struct{ ID string }
			Lost    struct {
				Lines int
				Since time.Time
			}
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%v: %q", err, l)
		}
		if e.Type == "lost" {
			all = append(all, fmt.Sprintf("lost:%d", e.Lost.Lines))
			if e.Lost.Since.IsZero() {
				t.Errorf("%q does not say since when", l)
			}
			continue
		}
		all = append(all, e.Request.ID)
	}
	return strings.Join(all, " ")
}

// free is a broker with one best-effort device.
func free(t *testing.T, options ...string) (*audit.Broker, *memory) {
	t.Helper()
	m := &memory{}
	b := audit.NewBroker(audit.Config{Log: nil, Types: map[string]audit.Factory{"memory": func(s audit.Setup) (audit.Device, error) {
		if s.Required || len(s.Options) > 0 {
			t.Errorf("the factory is given %+v", s.Options)
		}
		return m, nil
	}}})
	o := map[string]string{"required": "false"}
	for i := 0; i < len(options); i += 2 {
		o[options[i]] = options[i+1]
	}
	if err := b.Restore(audit.Spec{Path: "m", Type: "memory", Options: o, Key: redact.New(make([]byte, audit.KeySize))}); err != nil {
		t.Fatal(err)
	}
	return b, m
}

func put(t *testing.T, b *audit.Broker, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Append(entry(id), none).Wait(t.Context()); err != nil {
			t.Errorf("a best-effort device refuses: %v", err)
		}
	}
}

// While it fails lines wait; the newest are dropped when the buffer is full, and
// one line in their place says how many (hashicorp/vault#142, #5361).
func TestBestEffortKeepsWhatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := free(t, "buffer_lines", "3")
		put(t, b, "1")
		time.Sleep(time.Second)
		m.fail(syscall.ECONNREFUSED)
		put(t, b, "2")
		time.Sleep(time.Second) // it is being tried
		put(t, b, "3", "4", "5", "6")
		st := b.Stats()[0]
		if st.QueuedLines != 3 || st.Dropped != 2 || st.Lost != 0 || !st.Failing || st.Required || !strings.Contains(st.LastError, "connection refused") {
			t.Errorf("while it fails: %+v", st)
		}
		m.fail(nil)
		time.Sleep(time.Minute)
		put(t, b, "7")
		time.Sleep(time.Second)
		if got := m.got(t); got != "1 2 3 4 lost:2 7" {
			t.Errorf("got %q", got)
		}
		if st := b.Stats()[0]; st.QueuedLines != 0 || st.Queued != 0 || st.Failing || st.Lines != 5 || st.Dropped != 2 {
			t.Errorf("afterwards: %+v", st)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The line that tells of the loss does not wait for another.
func TestTheLossIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := free(t, "buffer_bytes", "1")
		m.fail(syscall.EIO)
		put(t, b, "1", "2", "3")
		time.Sleep(time.Second)
		m.fail(nil)
		time.Sleep(time.Minute)
		if got := m.got(t); got != "1 lost:2" {
			t.Errorf("got %q", got)
		}
		_ = b.Close()
	})
}

// A device that fails is left alone for longer and longer; SIGHUP tries at once.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := free(t)
		m.fail(syscall.ECONNREFUSED)
		put(t, b, "1")
		for range 300 { // lines that come meanwhile change nothing
			time.Sleep(time.Second)
			put(t, b, "x")
		}
		m.mu.Lock()
		tries := m.tries
		m.mu.Unlock()
		if n := len(tries); n < 12 || n > 20 {
			t.Errorf("%d tries in five minutes", n)
		}
		for i := 2; i < len(tries); i++ {
			was, is := tries[i-1].Sub(tries[i-2]), tries[i].Sub(tries[i-1])
			if is < was || is > 30*time.Second {
				t.Errorf("after %v comes %v", was, is)
			}
		}
		m.fail(nil)
		if err := b.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := m.got(t); !strings.HasPrefix(got, "1 x x") || m.reloads != 1 {
			t.Errorf("after SIGHUP: %d reloads, %q", m.reloads, got)
		}
		_ = b.Close()
	})
}

// A line that can never be sent does not hold up the others.
func TestALineTooLargeIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := free(t)
		m.longest = 2000
		huge := entry("huge")
		huge.Request.Path = strings.Repeat("x", 3000)
		put(t, b, "1")
		b.Append(huge, none)
		put(t, b, "2")
		time.Sleep(time.Second)
		if got := m.got(t); got != "1 2 lost:1" {
			t.Errorf("got %q", got)
		}
		if st := b.Stats()[0]; st.Dropped != 1 || st.Lines != 2 || st.Failing {
			t.Errorf("%+v", st)
		}
		_ = b.Close()
	})
}

// At the end everything is tried once more, and what is left is counted.
func TestCloseOfABestEffortDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := free(t)
		m.fail(syscall.EIO)
		put(t, b, "1", "2")
		time.Sleep(time.Second)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if st := b.Stats()[0]; st.Dropped != 2 || st.QueuedLines != 0 {
			t.Errorf("%+v", st)
		}
		put(t, b, "3") // with nothing but best effort enabled nobody is refused
	})
}

// Checkpoints of a file go to every best-effort device, without what only the
// file needs.
func TestCheckpointsGoToBestEffortDevices(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("extra", "extra.log", "required", "false"))
	b.enable(t, spec("main", "main.log"))
	if err := b.Append(entry("1"), none).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Disable("main"); err != nil {
		t.Fatal(err)
	}
	if err := b.Disable("extra"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, "extra.log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), `"note":"strongkeep-audit/main\n`); n < 2 || strings.Contains(string(raw), `strongkeep-audit/main\n9\n`) {
		t.Errorf("%d checkpoints of main in\n%s", n, raw)
	}
}

// Disabling a device under a request that has committed must not refuse its
// answer: the line went to the device that is left, and to the one that went
// as long as it was there.
func TestDisablingOneOfSeveralRefusesNobody(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("main", "main.log"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d.%d", w, i)
				asked := b.Append(entry(id+"?"), none)
				if err := b.Append(entry(id), asked).Wait(t.Context()); err != nil {
					t.Errorf("refused: %v", err)
					return
				}
			}
		})
	}
	for i := range 30 {
		b.enable(t, spec("other", fmt.Sprintf("other%d.log", i)))
		if err := b.Disable("other"); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}
