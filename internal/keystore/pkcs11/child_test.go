//go:build linux && cgo

package pkcs11_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

var canary = redact.FromString("canary-seed-0815")

// works reports whether a key wraps and unwraps now.
func works(ctx context.Context, k *pkcs11.Key) error {
	blob, err := k.Wrap(ctx, []byte("aad"), canary)
	if err != nil {
		return err
	}
	got, err := k.Unwrap(ctx, []byte("aad"), blob)
	if err == nil && !got.Equal(canary) {
		return errs.New(errs.Internal, "it unwraps something else")
	}
	return err
}

// token has one key, "kubernetes", which works.
func token(t *testing.T, changes map[string]any) (*pkcs11test.Token, *pkcs11.Key) {
	t.Helper()
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	k := open(t, h.Settings("kubernetes", changes))
	await.Until(t, "the key works", func() bool { // within a time that may be short on a busy machine
		err := works(t.Context(), k)
		if err != nil && !errs.Is(err, errs.Unavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	return h, k
}

// unavailable is a failure that may pass, and says nothing it must not.
func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("%s: %v, want kind unavailable", what, err)
	}
	quiet(t, err)
}

func quiet(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret is in an error: %v", err)
	}
}

// The program is killed again and again amid calls. No call fails: what was lost is
// asked again, once.
func TestKilledAmidCalls(t *testing.T) {
	_, k := token(t, nil)
	const workers, kills = 4, 10
	var done [workers]atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := works(t.Context(), k); err != nil {
					t.Error("amid kills:", err)
					return
				}
				done[i].Add(1)
			}
		})
	}
	for range kills {
		var before [workers]int64
		for i := range done {
			before[i] = done[i].Load()
		}
		await.Until(t, "every worker has done something since", func() bool {
			if t.Failed() {
				return true
			}
			for i := range done {
				if done[i].Load() < before[i]+2 {
					return false
				}
			}
			return true
		})
		if pid := k.PID(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	stop()
	wg.Wait()
}

// A program that stands still is killed, and another one works.
func TestStopped(t *testing.T) {
	h, k := token(t, map[string]any{"timeout": "300ms"})
	pid := k.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := works(t.Context(), k); err != nil { // nil: this process stood still too, until the program was killed
		unavailable(t, "a program that stands still", err)
	}
	await.Until(t, "another one works, and is the only one", func() bool {
		now := h.Children()
		return works(t.Context(), k) == nil && len(now) == 1 && now[0] != pid
	})
}

// What a module can do in the midst of a call, and that nothing of it stays.
func TestModuleFails(t *testing.T) {
	for _, mode := range []string{"hang", "crash", "session lost", "removed"} {
		t.Run(mode, func(t *testing.T) {
			h, k := token(t, map[string]any{"timeout": "500ms"})
			pid := k.PID()
			h.Mode(mode)
			unavailable(t, mode, works(t.Context(), k))
			h.Mode("")
			await.Until(t, "it works again, in another process", func() bool {
				now := h.Children()
				return works(t.Context(), k) == nil && len(now) == 1 && now[0] != pid
			})
		})
	}
}

// A module that fails at each start is started later each time.
func TestModuleFailsAtOnce(t *testing.T) {
	for mode, c := range map[string]struct {
		limit string
		say   *regexp.Regexp
	}{
		"hang at once":  {"2s", regexp.MustCompile("deadline exceeded|has not answered for 2s")},
		"crash at once": {"30s", regexp.MustCompile("has the module crashed")},
	} {
		t.Run(mode, func(t *testing.T) {
			h := pkcs11test.New(t).Shim()
			h.Generate("kubernetes/1", "one", nil)
			h.Mode(mode)
			k := open(t, h.Settings("kubernetes", map[string]any{"start_timeout": c.limit}))
			for range 200 {
				err := works(t.Context(), k)
				if unavailable(t, mode, err); !c.say.MatchString(err.Error()) {
					t.Fatalf("%s: %v, want it to say %q", mode, err, c.say)
				}
			}
			if n := h.Starts(); n < 1 || n > 20 {
				t.Errorf("200 calls started it %d times", n)
			}
			await.Until(t, "no program is left", func() bool { return len(h.Children()) == 0 })
			h.Mode("")
			k = open(t, h.Settings("kubernetes", nil)) // with time to start
			if err := works(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
	}
}

// A start may take longer than calls may.
func TestSlowStart(t *testing.T) {
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	h.Mode("slow at once")
	k := open(t, h.Settings("kubernetes", map[string]any{"timeout": "1s"})) // the start takes 2s, and a hanging call 5s
	_, _ = k.History(t.Context())
	if h.Logins() != 1 || k.PID() == 0 {
		t.Errorf("there were %d logins, and program %d is there", h.Logins(), k.PID())
	}
}

// A key is closed while its program starts, which may take for ever.
func TestClosedAmidAStart(t *testing.T) {
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	h.Write("mute", "#!/bin/sh\necho >>"+filepath.Join(h.Dir, "muted")+"\nexec sleep 600\n")
	mute := filepath.Join(h.Dir, "mute")
	if err := os.Chmod(mute, 0o700); err != nil {
		t.Fatal(err)
	}
	h.Mode("hang at once")
	begun := map[string]func() bool{
		h.Program: func() bool { return h.Starts() == 1 },
		mute:      func() bool { _, err := os.Stat(filepath.Join(h.Dir, "muted")); return err == nil },
	}
	for program, begun := range begun {
		k := open(t, h.Settings("kubernetes", map[string]any{"program": program, "start_timeout": "1h"}))
		asked, closed := make(chan error, 1), make(chan error, 1)
		go func() { asked <- works(context.Background(), k) }()
		await.Until(t, "it starts", begun)
		go func() { closed <- k.Close() }()
		err, _ := await.Next(t, "the call ends", asked)
		unavailable(t, "a call amid a start that was closed", err)
		if err, _ := await.Next(t, "it is closed", closed); err != nil {
			t.Error(err)
		}
	}
	await.Until(t, "no program is left", func() bool { return len(h.Children()) == 0 })
}

// A PIN that the token has refused is not tried again, however often it is asked, until
// the file has another one. The last try is nobody's to spend.
func TestWrongPIN(t *testing.T) {
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	h.Write("pin", "canary-wrong")
	k := open(t, h.Settings("kubernetes", nil))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := k.History(t.Context())
			if !errs.Is(err, errs.Denied) || !strings.Contains(fmt.Sprint(err), "PIN") {
				t.Errorf("with a wrong PIN: %v", err)
			}
			quiet(t, err)
		})
	}
	wg.Wait()
	await.Until(t, "a start has refused the PIN without a login", func() bool {
		_, err := k.History(t.Context())
		return strings.Contains(fmt.Sprint(err), "not tried again: a token locks itself after a few; write the right one")
	})
	if n := h.Logins(); n != 1 {
		t.Errorf("a wrong PIN was tried %d times", n)
	}
	h.Write("pin", pkcs11test.PIN)
	await.Until(t, "the right PIN works", func() bool { return works(t.Context(), k) == nil })

	for mode, say := range map[string]string{"final try": "one more wrong PIN locks it", "locked": "has locked the PIN", "expired": "has expired"} {
		before := h.Logins()
		h.Mode(mode)
		_, err := open(t, h.Settings("kubernetes", nil)).History(t.Context())
		if !errs.Is(err, errs.Denied) || !strings.Contains(fmt.Sprint(err), say) {
			t.Errorf("%s: %v, want it to say %q", mode, err, say)
		}
		if n := h.Logins() - before; n != 0 && mode != "expired" {
			t.Errorf("%s: it was tried", mode)
		}
	}
}

// What is in the way of a start, and passes.
func TestStart(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	loose := filepath.Join(h.Dir, "loose")
	h.Write("loose", pkcs11test.PIN)
	if err := os.Chmod(loose, 0o660); err != nil {
		t.Fatal(err)
	}
	h.Write("text.so", "no library")
	h.Write("liar", "#!/bin/sh\nprintf '\\000\\000\\000\\007aaaa\\001\\000\\000' >&3\nexec sleep 60\n")
	if err := os.Chmod(filepath.Join(h.Dir, "liar"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change map[string]any
		kind   errs.Kind
		say    string
	}{
		"no program":          {map[string]any{"program": "/none"}, errs.Unavailable, "install strongkeep-pkcs11"},
		"another program":     {map[string]any{"program": "/bin/true"}, errs.Unavailable, "ended before it said a word"},
		"a program that lies": {map[string]any{"program": filepath.Join(h.Dir, "liar")}, errs.Unsupported, "is no strongkeep-pkcs11"},
		"no module":           {map[string]any{"module": "/none.so"}, errs.Unavailable, "vendor"},
		"no library":          {map[string]any{"module": filepath.Join(h.Dir, "text.so")}, errs.Unsupported, "no PKCS#11 module"},
		"another library":     {map[string]any{"module": libc(t)}, errs.Unsupported, "no PKCS#11 module"},
		"another token":       {map[string]any{"token": "other"}, errs.Unavailable, `no slot has token "other"`},
		"another serial":      {map[string]any{"serial": "0"}, errs.Unavailable, "no slot has token"},
		"no PIN":              {map[string]any{"pin_file": "/none"}, errs.Unavailable, "pin_file"},
		"a PIN for all":       {map[string]any{"pin_file": loose}, errs.Denied, "chmod 0400"},
	} {
		_, err := open(t, h.Settings("kubernetes", c.change)).History(t.Context())
		if !errs.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.say) {
			t.Errorf("%s: %v, want kind %v saying %q", name, err, c.kind, c.say)
		}
		quiet(t, err)
	}
	await.Until(t, "no program is left", func() bool { return len(h.Children()) == 0 })
}

func libc(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/lib/*/libm.so.6")
	if err != nil || len(found) == 0 {
		t.Skip("SKIPPED: no libm is where Debian has it")
	}
	return found[0]
}

// A token that is taken away and brought back.
func TestTokenGone(t *testing.T) {
	h, k := token(t, nil)
	blob, err := k.Wrap(t.Context(), nil, canary)
	if err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(h.Dir, "away")
	if err := os.Rename(h.Tokens(), away); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.Tokens(), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = k.Unwrap(t.Context(), nil, blob)
	unavailable(t, "unwrapping without the token", err)
	_, err = k.History(t.Context())
	unavailable(t, "the history without the token", err)
	if err := os.Remove(h.Tokens()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, h.Tokens()); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the token is back", func() bool {
		got, err := k.Unwrap(t.Context(), nil, blob)
		return err == nil && got.Equal(canary)
	})
}

// More calls at once than there are sessions wait for each other.
func TestManyCalls(t *testing.T) {
	_, k := token(t, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := works(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What the program has of ours: a socket, the environment that the settings name, and
// nothing that can be looked into.
func TestConfined(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED without root: looking into a process that is not to be looked into")
	}
	t.Setenv("STRONGKEEP_CANARY", "canary of the environment")
	leaked, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0) // as who started us may have left one
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(leaked) }()
	h, k := token(t, nil)
	proc := "/proc/" + strconv.Itoa(k.PID()) + "/"
	read := func(name string) string {
		raw, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	environ := strings.Split(strings.Trim(read("environ"), "\x00"), "\x00")
	for _, line := range environ {
		if name, _, _ := strings.Cut(line, "="); name != "SOFTHSM2_CONF" && !strings.HasPrefix(name, "SHIM_") && line != "PWD=/" {
			t.Errorf("the program has %s in its environment", name)
		}
	}
	if all := read("environ") + read("cmdline"); strings.Contains(all, "canary") || strings.Count(read("cmdline"), "\x00") != 1 {
		t.Error("a secret is on the command line or in the environment")
	}
	if limits := read("limits"); !strings.Contains(strings.Join(strings.Fields(limits), " "), "Max core file size 0 0") {
		t.Errorf("the program may write cores: %s", limits)
	}
	info, err := os.Stat(proc + "environ")
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("its memory is user %d's", owner)
	}
	files(t, proc, h.Dir)
}

// files looks at what a process has open: the null device, a socket, what the Go runtime
// needs, and what SoftHSM has opened itself.
func files(t *testing.T, proc, dir string) {
	t.Helper()
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, f := range open {
		to, err := os.Readlink(proc + "fd/" + f.Name())
		switch {
		case err != nil, to == "/dev/null", to == "anon_inode:[eventpoll]", to == "anon_inode:[eventfd]", strings.HasPrefix(to, dir), strings.HasPrefix(to, "/sys/fs/cgroup/"):
		case strings.HasPrefix(to, "socket:") && f.Name() != "3" && sockets == 0: // a copy, behind 3
			sockets++
		default:
			t.Errorf("the program has %s open as %s", to, f.Name())
		}
	}
	if sockets != 1 {
		t.Errorf("the program has %d sockets", sockets)
	}
}

// The program ends with whoever started it: also if it stands still itself, or its module
// hangs, so that nobody looks whether the socket is closed.
func TestEndsWithItsParent(t *testing.T) {
	for name, mode := range map[string]string{"well": "", "standing still": "", "hanging": "hang at once"} {
		t.Run(name, func(t *testing.T) {
			h := pkcs11test.New(t).Shim()
			h.Generate("kubernetes/1", "one", nil)
			h.Mode(mode)
			h.Write("settings", string(h.Settings("kubernetes", map[string]any{"start_timeout": "1h"})))
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), parentOf+"="+filepath.Join(h.Dir, "settings"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await.Until(t, "the program has come as far as it comes", func() bool {
				return len(h.ChildrenOf(cmd.Process.Pid)) == 1 && (mode == "" && h.Logins() == 1 || mode != "" && h.Starts() == 1)
			})
			pid := h.ChildrenOf(cmd.Process.Pid)[0]
			if name == "standing still" {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			await.Until(t, "the program has ended", func() bool { return !alive(pid) })
		})
	}
}

// parentOf names, in the environment of a child of the test's, the settings that it opens.
const parentOf = "STRONGKEEP_PKCS11_PARENT"

// parent is such a child, which ends when it is killed.
func parent() bool {
	path := os.Getenv(parentOf)
	if path == "" {
		return false
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	opened, err := pkcs11.Open(raw)
	if err != nil {
		panic(err)
	}
	k := opened.(*pkcs11.Key)
	if err := works(context.Background(), k); err != nil {
		panic(err)
	}
	defer runtime.KeepAlive(k)
	select {}
}

func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// The program ends when the key is closed, and when nobody has it any more.
func TestClose(t *testing.T) {
	h, k := token(t, nil)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	unavailable(t, "a closed key", works(t.Context(), k))
	if left := h.Children(); len(left) != 0 {
		t.Errorf("programs %v are left", left)
	}
	func() {
		dropped, err := pkcs11.Open(h.Settings("kubernetes", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := works(t.Context(), dropped.(*pkcs11.Key)); err != nil || len(h.Children()) != 1 {
			t.Fatalf("it does not work: %v", err)
		}
	}()
	await.Until(t, "the program of a key that nobody has ends", func() bool {
		runtime.GC()
		return len(h.Children()) == 0
	})
}
