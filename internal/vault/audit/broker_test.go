package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
	"github.com/strongkeep/strongkeep/internal/vault/audit/histogram"
)

// bench is a broker over real files in a directory of its own, and the valve
// in front of each.
type bench struct {
	*audit.Broker
	dir    string
	log    *lockedBuffer
	valves map[string]*valve // by file_path
}

// lockedBuffer is a log many goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// valve lets a test hold up and fail the writes of the device behind it.
type valve struct {
	audit.Device
	entered chan struct{} // receives when a held write arrives
	release chan error    // what a held write is to fail with; nil = pass on

	mu   sync.Mutex
	held bool
	err  error
}

func (v *valve) Write(lines []byte) error {
	v.mu.Lock()
	held, err := v.held, v.err
	v.mu.Unlock()
	if held {
		v.entered <- struct{}{}
		err = <-v.release
	}
	if err != nil {
		return err
	}
	return v.Device.Write(lines)
}

func (v *valve) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
}

// hold has the next writes wait; unhold ends that for those after.
func (v *valve) hold(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held = on
}

func newBench(t testing.TB, queue int) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), log: &lockedBuffer{}, valves: map[string]*valve{}}
	make := file.New(file.Config{Dir: b.dir})
	b.Broker = audit.NewBroker(audit.Config{
		QueueBytes: queue,
		Log:        slog.New(slog.NewTextHandler(b.log, nil)),
		Types: map[string]audit.Factory{"file": func(setup audit.Setup) (audit.Device, error) {
			dev, err := make(setup)
			if err != nil {
				return nil, err
			}
			v := &valve{Device: dev, entered: newChan[struct{}](), release: newChan[error]()}
			b.valves[setup.Options["file_path"]] = v
			return v, nil
		}},
	})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return b
}

func newChan[T any]() chan T { return make(chan T) }

func spec(path, file string, more ...string) audit.Spec {
	o := map[string]string{"file_path": file}
	for i := 0; i < len(more); i += 2 {
		o[more[i]] = more[i+1]
	}
	return audit.Spec{Path: path, Type: "file", Options: o, Key: redact.New(bytes.Repeat([]byte{7}, audit.KeySize))}
}

func (b *bench) enable(t testing.TB, s audit.Spec) *valve {
	t.Helper()
	if err := b.Enable(s); err != nil {
		t.Fatal(err)
	}
	return b.valves[s.Options["file_path"]]
}

func entry(id string) *audit.Entry {
	return &audit.Entry{Type: audit.TypeRequest, Time: time.Unix(1, 0), Request: &audit.Request{
		ID: id, Operation: "update", Path: "secret/data/x", Data: jsontext.Value(`{"password":"hunter2-canary"}`), ClientToken: "hvs.canary",
	}}
}

// ids returns the request IDs in a file in order, and fails the test unless
// every line of it is whole JSON.
func ids(t testing.TB, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		t.Fatalf("%s ends within a line: %q", path, raw[max(0, len(raw)-60):])
	}
	if bytes.Contains(raw, []byte("canary")) {
		t.Fatalf("%s holds a secret in the clear", path)
	}
	var out []string
	for l := range strings.Lines(string(raw)) {
		var e struct {
			Type    string
			Request struct{ ID, Path string }
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%s: a line is no JSON: %v: %q", path, err, l)
		}
		if e.Request.Path != "sys/audit/test" && e.Type != "checkpoint" {
			out = append(out, e.Request.ID)
		}
	}
	return out
}

func wantIDs(t testing.TB, path string, want ...string) {
	t.Helper()
	if got := ids(t, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s holds %q, want %q", filepath.Base(path), got, want)
	}
}

func wantUnavailable(t testing.TB, err error, parts ...string) {
	t.Helper()
	if !errs.Is(err, errs.Unavailable) {
		t.Fatalf("error %v, want one of kind Unavailable", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

var none audit.Ticket

func TestWithoutDeviceEverythingSucceeds(t *testing.T) {
	b := newBench(t, 0)
	tk := b.Append(entry("a"), none)
	if err := b.Append(entry("b"), tk).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := none.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitedLinesAreInTheFile(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	path := filepath.Join(b.dir, "a.log")
	first := b.Append(entry("1"), none)
	if err := b.Append(entry("2"), first).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, path, "1", "2")
	if err := first.Wait(t.Context()); err != nil {
		t.Errorf("waiting for an earlier line: %v", err)
	}
	if st := b.Stats()[0]; st.Lines != 2 || st.Groups != 1 || st.Path != "file/" || st.Target != path || st.Wait.Count != 1 || st.Write.Count != 1 || st.Failing {
		t.Errorf("stats %+v, want two lines in one group", st)
	}
}

func TestGroupsKeepOrder(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	b.enable(t, spec("second", "b.log"))
	const writers, rounds = 16, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				tk := b.Append(entry(fmt.Sprintf("%d.%d.A", w, i)), none)
				if err := b.Append(entry(fmt.Sprintf("%d.%d.B", w, i)), tk).Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a.log", "b.log"} {
		at := map[string]int{}
		for i, id := range ids(t, filepath.Join(b.dir, name)) {
			at[id] = i
		}
		if len(at) != 2*writers*rounds {
			t.Fatalf("%s has %d lines, want %d", name, len(at), 2*writers*rounds)
		}
		for w := range writers {
			for i := range rounds {
				if at[fmt.Sprintf("%d.%d.A", w, i)] > at[fmt.Sprintf("%d.%d.B", w, i)] {
					t.Fatalf("%s: response %d.%d stands before its request", name, w, i)
				}
			}
		}
	}
	if st := b.Stats()[0]; st.Groups >= st.Lines/2 {
		t.Errorf("%d lines took %d groups: nothing was grouped", st.Lines, st.Groups)
	}
}

// A response line never succeeds when its request line was lost, however the
// loss and the two lines fall in time.
func TestALostLineTakesTheNextWithIt(t *testing.T) {
	full := syscall.ENOSPC
	for name, run := range map[string]func(t *testing.T, b *bench, v *valve) error{
		"in one group": func(t *testing.T, b *bench, v *valve) error {
			v.fail(full)
			tk := b.Append(entry("A"), none)
			err := b.Append(entry("B"), tk).Wait(t.Context())
			v.fail(nil)
			return err
		},
		"queued behind the failing group": func(t *testing.T, b *bench, v *valve) error {
			v.hold(true)
			tk := b.Append(entry("A"), none)
			go func() { _ = tk.Wait(context.Background()) }()
			<-v.entered
			second := b.Append(entry("B"), tk)
			v.hold(false)
			v.release <- full
			return second.Wait(t.Context())
		},
		"after the device works again": func(t *testing.T, b *bench, v *valve) error {
			v.fail(full)
			tk := b.Append(entry("A"), none)
			wantUnavailable(t, tk.Wait(t.Context()))
			v.fail(nil)
			return b.Append(entry("B"), tk).Wait(t.Context())
		},
		"after two steps": func(t *testing.T, b *bench, v *valve) error {
			v.fail(full)
			tk := b.Append(entry("A"), none)
			wantUnavailable(t, tk.Wait(t.Context()))
			v.fail(nil)
			return b.Append(entry("C"), b.Append(entry("B"), tk)).Wait(t.Context())
		},
		"on a device that is gone": func(t *testing.T, b *bench, v *valve) error {
			v.fail(full)
			tk := b.Append(entry("A"), none)
			if err := b.Disable("file"); err != nil {
				t.Fatal(err)
			}
			err := b.Append(entry("B"), tk).Wait(t.Context())
			v.fail(nil)
			b.enable(t, spec("file", "a.log"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0)
			v := b.enable(t, spec("file", "a.log"))
			wantUnavailable(t, run(t, b, v), "the audit device file/ at "+filepath.Join(b.dir, "a.log")+" cannot be written", "no space left", "requests are refused until it can")
			if err := b.Append(entry("later"), none).Wait(t.Context()); err != nil {
				t.Fatalf("it did not recover: %v", err)
			}
			wantIDs(t, filepath.Join(b.dir, "a.log"), "later")
			if s := b.log.String(); strings.Contains(s, "canary") {
				t.Errorf("the log holds a secret: %s", s)
			}
		})
	}
}

func TestFailureAndRecoveryAreLoggedOnce(t *testing.T) {
	b := newBench(t, 0)
	v := b.enable(t, spec("file", "a.log"))
	v.fail(syscall.EIO)
	for range 3 {
		wantUnavailable(t, b.Append(entry("x"), none).Wait(t.Context()), "input/output error")
	}
	if st := b.Stats()[0]; !st.Failing || st.Failures != 3 || st.Lost != 3 || st.Lines != 0 {
		t.Errorf("stats %+v", st)
	}
	v.fail(nil)
	for range 3 {
		if err := b.Append(entry("y"), none).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := b.log.String()
	if n, m := strings.Count(s, "audit device fails"), strings.Count(s, "works again"); n != 1 || m != 1 {
		t.Errorf("%d failures and %d recoveries logged, want one each:\n%s", n, m, s)
	}
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	b := newBench(t, 1000)
	v := b.enable(t, spec("file", "a.log"))
	v.hold(true)
	first := b.Append(entry("1"), none)
	var waited sync.WaitGroup
	waited.Go(func() {
		if err := first.Wait(context.Background()); err != nil {
			t.Errorf("the line being written: %v", err)
		}
	})
	<-v.entered
	huge := entry("huge")
	huge.Request.Path = strings.Repeat("x", 5000)
	queued := b.Append(huge, none) // an empty queue takes a line of any size
	wantUnavailable(t, b.Append(entry("3"), none).Wait(t.Context()), "does not keep up", "1000 bytes")
	if st := b.Stats()[0]; st.Lost != 1 || st.Queued < 5000 {
		t.Errorf("stats %+v", st)
	}
	v.hold(false)
	v.release <- nil
	if err := queued.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	waited.Wait()
	wantIDs(t, filepath.Join(b.dir, "a.log"), "1", "huge")
}

func TestWaitEndsWithItsContext(t *testing.T) {
	b := newBench(t, 0)
	v := b.enable(t, spec("file", "a.log"))
	v.hold(true)
	tk := b.Append(entry("1"), none)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() { got <- tk.Wait(ctx) }()
	<-v.entered
	cancel()
	err := <-got
	wantUnavailable(t, err, "waiting for the audit device file/")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not wrap the context's", err)
	}
	v.hold(false)
	v.release <- nil
}

func TestALineNobodyWaitsForIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0)
		b.enable(t, spec("file", "a.log"))
		b.Append(entry("1"), none)
		synctest.Wait()
		wantIDs(t, filepath.Join(b.dir, "a.log"))
		time.Sleep(50 * time.Millisecond) // the bubble's clock
		synctest.Wait()
		wantIDs(t, filepath.Join(b.dir, "a.log"), "1")
	})
}

func TestRequiredAndOptionalDevices(t *testing.T) {
	b := newBench(t, 0)
	main := b.enable(t, spec("main", "main.log"))
	extra := b.enable(t, spec("extra", "extra.log", "required", "false"))
	second := b.enable(t, spec("second", "second.log"))
	extra.fail(syscall.EIO)
	if err := b.Append(entry("1"), none).Wait(t.Context()); err != nil {
		t.Errorf("an optional device refuses: %v", err)
	}
	second.fail(syscall.EIO)
	tk := b.Append(entry("2"), none)
	wantUnavailable(t, tk.Wait(t.Context()), "second/")
	second.fail(nil)
	wantUnavailable(t, b.Append(entry("2'"), tk).Wait(t.Context()), "second/")
	main.fail(syscall.EIO)
	wantUnavailable(t, b.Append(entry("3"), none).Wait(t.Context()), "main/")
	main.fail(nil)
	extra.fail(nil)
	if err := b.Append(entry("4"), none).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Disable("extra/"); err != nil { // and so have it written
		t.Error(err)
	}
	for _, id := range ids(t, filepath.Join(b.dir, "second.log")) {
		if id == "2" || id == "2'" {
			t.Errorf("the lost line %s is there", id)
		}
	}
	wantIDs(t, filepath.Join(b.dir, "second.log"), "1", "3", "4")
}

func TestEnableRefuses(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file/", "a.log"))
	if err := os.Mkdir(filepath.Join(b.dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	noKey := spec("n", "n.log")
	noKey.Key = redact.New([]byte("short"))
	noType := spec("n", "n.log")
	noType.Type = "syslog"
	for name, c := range map[string]struct {
		spec audit.Spec
		kind errs.Kind
		text string
	}{
		"path in use":    {spec("file", "b.log"), errs.Exist, "path already in use"},
		"file in use":    {spec("other", filepath.Join(b.dir, "a.log")), errs.Exist, "written by the audit device file/"},
		"no path":        {spec("/", "b.log"), errs.Invalid, "needs a path"},
		"short key":      {noKey, errs.Invalid, "5 bytes"},
		"unknown type":   {noType, errs.Invalid, "there are: file"},
		"unknown option": {spec("n", "n.log", "compress", "true"), errs.Invalid, `"compress"`},
		"bad option":     {spec("n", "n.log", "log_raw", "x"), errs.Invalid, "log_raw"},
		"outside":        {spec("n", "/etc/audit.log"), errs.Invalid, "below"},
		"a directory":    {spec("n", "folder"), errs.Invalid, "not a regular file"},
		"no directory":   {spec("n", "no/such.log"), errs.Unavailable, "no such file or directory"},
	} {
		err := b.Enable(c.spec)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v saying %q", name, err, c.kind, c.text)
		}
	}
	if n := len(b.Stats()); n != 1 {
		t.Errorf("%d devices are enabled, want one", n)
	}
	if err := b.Append(entry("1"), none).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRestoreToleratesWhatCannotBeWritten(t *testing.T) {
	b := newBench(t, 0)
	if err := b.Restore(spec("file", "sub/a.log")); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, b.Append(entry("1"), none).Wait(t.Context()), "no such file or directory")
	if err := os.Mkdir(filepath.Join(b.dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(entry("2"), none).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, filepath.Join(b.dir, "sub/a.log"), "2")
	if err := b.Restore(spec("x", "x.log", "nonsense", "1")); !errs.Is(err, errs.Invalid) {
		t.Errorf("restoring with an unknown option: %v", err)
	}
}

func TestDisableWritesWhatIsQueued(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	tk := b.Append(entry("1"), none)
	if err := b.Disable("file"); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, filepath.Join(b.dir, "a.log"), "1")
	if err := b.Append(entry("2"), tk).Wait(t.Context()); err != nil {
		t.Errorf("after the only device went: %v", err)
	}
	wantIDs(t, filepath.Join(b.dir, "a.log"), "1")
	if err := b.Disable("file"); !errs.Is(err, errs.NotExist) {
		t.Errorf("disabling twice: %v", err)
	}
	b.enable(t, spec("file", "a.log")) // and its file can be used again
}

func TestHash(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	if err := b.Append(entry("1"), none).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"file", "file/"} {
		h, err := b.Hash(path, "hunter2-canary")
		if err != nil || !strings.Contains(string(raw), `"password":"`+h+`"`) || len(h) != len("hmac-sha256:")+64 {
			t.Errorf("the hash %q (%v) is not in the log", h, err)
		}
	}
	if _, err := b.Hash("other", "x"); !errs.Is(err, errs.NotExist) {
		t.Errorf("hash of no device: %v", err)
	}
}

func TestReloadAfterRotation(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	path := filepath.Join(b.dir, "a.log")
	tk := b.Append(entry("1"), none)
	if err := tk.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, path)
	if err := b.Append(entry("2"), none).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, path, "2")
	wantIDs(t, path+".1", "1")
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, b.Reload(t.Context()), "no such file or directory")
}

func TestCloseRefusesWhatComesLater(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	b.Append(entry("1"), none)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, filepath.Join(b.dir, "a.log"), "1")
	wantUnavailable(t, b.Append(entry("2"), none).Wait(t.Context()))
	wantUnavailable(t, b.Reload(t.Context()))
	if err := b.Enable(spec("x", "x.log")); !errs.Is(err, errs.Sealed) {
		t.Errorf("enabling after Close: %v", err)
	}
}

// Devices come and go while requests run; nobody may hang, and every line that
// was waited for is in each file that was enabled all the while.
func TestDevicesComeAndGoUnderLoad(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("main", "main.log"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	acked := make([][]string, 4)
	for w := range acked {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d.%d", w, i)
				err := b.Append(entry(id), b.Append(entry(id+"?"), none)).Wait(t.Context())
				if err == nil {
					acked[w] = append(acked[w], id)
				} else if !strings.Contains(err.Error(), "disabled meanwhile") {
					t.Error(err)
				}
			}
		})
	}
	for i := range 10 {
		b.enable(t, spec("other", fmt.Sprintf("other%d.log", i)))
		if err := b.Disable("other"); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	have := map[string]bool{}
	for _, id := range ids(t, filepath.Join(b.dir, "main.log")) {
		have[id] = true
	}
	for _, list := range acked {
		for _, id := range list {
			if !have[id] || !have[id+"?"] {
				t.Fatalf("the acknowledged line %s is not in the file", id)
			}
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	b := newBench(t, 0)
	b.enable(t, spec("file", "a.log"))
	for range 5 {
		if err := b.Append(entry("1"), none).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h := b.Stats()[0].Write
	var n uint64
	for _, c := range h.Buckets {
		n += c
	}
	if h.Count != 5 || n != 5 || h.Sum <= 0 {
		t.Errorf("histogram %+v", h)
	}
	if histogram.Bound(0) != 16*time.Microsecond || histogram.Bound(18) < 4*time.Second {
		t.Errorf("bounds %v … %v", histogram.Bound(0), histogram.Bound(18))
	}
}
