//go:build linux && cgo

package pkcs11test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"
)

// Library is SoftHSM, where Debian has it.
const Library = "/usr/lib/softhsm/libsofthsm2.so"

// PIN of every token, and the label of the first.
const (
	PIN   = "canary-pin-4711"
	Label = "strongkeep test"
)

// Token is a token of SoftHSM's, in a directory of its own.
type Token struct {
	testing.TB
	Dir     string // of all its files
	PINFile string
	Label   string
	Program string // strongkeep-pkcs11
	shim    string // "": SoftHSM itself is the module
}

// loading excludes two users of SoftHSM in this process: it has one configuration.
var loading sync.Mutex

// New makes a token. It skips the test where SoftHSM is not installed.
func New(t testing.TB) *Token {
	t.Helper()
	if _, err := os.Stat(Library); err != nil {
		t.Skip("SKIPPED: PKCS#11 is not tested: it takes Debian's package softhsm2")
	}
	h := &Token{TB: t, Dir: t.TempDir(), Label: Label, Program: program(t)}
	h.PINFile = filepath.Join(h.Dir, "pin")
	h.Write("pin", PIN+"\n")
	h.Write("softhsm2.conf", "directories.tokendir = "+h.Tokens()+"\nobjectstore.backend = file\nlog.level = ERROR\n")
	if err := os.Mkdir(h.Tokens(), 0o700); err != nil {
		t.Fatal(err)
	}
	h.initialise()
	return h
}

// Tokens is where SoftHSM keeps its tokens.
func (h *Token) Tokens() string { return filepath.Join(h.Dir, "tokens") }

// Write writes one of its files, readable by its owner only.
func (h *Token) Write(name, text string) {
	h.Helper()
	if err := os.WriteFile(filepath.Join(h.Dir, name), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// Shim puts the module between that does as Mode says.
func (h *Token) Shim() *Token {
	h.Helper()
	h.shim = shim(h)
	h.Mode("")
	return h
}

// Mode is what the shim does from now on: see testdata/shim.c. "": nothing.
func (h *Token) Mode(is string) {
	h.Helper()
	h.Write("next", is)
	if err := os.Rename(filepath.Join(h.Dir, "next"), filepath.Join(h.Dir, "mode")); err != nil { // whole or not at all
		h.Fatal(err)
	}
}

// Logins is how often the shim was logged in to.
func (h *Token) Logins() int { return h.count("login\n") }

// Starts is how often the shim was initialised.
func (h *Token) Starts() int { return h.count("start\n") }

func (h *Token) count(what string) int {
	raw, err := os.ReadFile(filepath.Join(h.Dir, "log"))
	if err != nil {
		return 0
	}
	return strings.Count(string(raw), what)
}

// Children are the processes of the program that this one has started and that have not ended.
func (h *Token) Children() []int { return h.ChildrenOf(os.Getpid()) }

// ChildrenOf are those of another process.
func (h *Token) ChildrenOf(parent int) (all []int) {
	h.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		h.Fatal(err)
	}
	for _, dir := range dirs {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state ppid …
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(parent) && string(line) == h.Program+"\x00" {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			all = append(all, pid)
		}
	}
	return all
}

// Settings of the key NAME, with changes.
func (h *Token) Settings(key string, changes map[string]any) []byte {
	h.Helper()
	module, environment := Library, map[string]string{"SOFTHSM2_CONF": filepath.Join(h.Dir, "softhsm2.conf")}
	if h.shim != "" {
		module = h.shim
		environment["SHIM_REAL"], environment["SHIM_MODE"], environment["SHIM_LOG"] = Library, filepath.Join(h.Dir, "mode"), filepath.Join(h.Dir, "log")
	}
	s := map[string]any{
		"program": h.Program, "module": module, "token": h.Label, "key": key, "pin_file": h.PINFile,
		"environment": environment, "timeout": "20s", // of a machine with much else to do
	}
	maps.Copy(s, changes)
	for name, value := range s {
		if value == nil {
			delete(s, name)
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		h.Fatal(err)
	}
	return raw
}

// module loads SoftHSM into this process, for as long as work takes.
func (h *Token) module(work func(*pkcs11.Ctx) error) {
	h.Helper()
	loading.Lock()
	defer loading.Unlock()
	before := os.Getenv("SOFTHSM2_CONF")
	if err := os.Setenv("SOFTHSM2_CONF", filepath.Join(h.Dir, "softhsm2.conf")); err != nil {
		h.Fatal(err)
	}
	defer func() { _ = os.Setenv("SOFTHSM2_CONF", before) }()
	ctx := pkcs11.New(Library)
	if ctx == nil {
		h.Fatal("SoftHSM cannot be loaded")
	}
	defer ctx.Destroy()
	if err := ctx.Initialize(); err != nil {
		h.Fatal(err)
	}
	defer func() { _ = ctx.Finalize() }() //nolint:misspell // PKCS#11's name of it
	if err := work(ctx); err != nil {
		h.Fatal(err)
	}
}

// initialise makes the token and its PIN.
func (h *Token) initialise() {
	h.Helper()
	h.module(func(ctx *pkcs11.Ctx) error {
		slots, err := ctx.GetSlotList(false)
		if err != nil {
			return err
		}
		if err := ctx.InitToken(slots[len(slots)-1], "officer", h.Label); err != nil {
			return err
		}
		return h.session(ctx, pkcs11.CKU_SO, "officer", func(sh pkcs11.SessionHandle) error { return ctx.InitPIN(sh, PIN) })
	})
}

// session logs in to the token and runs work.
func (h *Token) session(ctx *pkcs11.Ctx, user uint, pin string, work func(pkcs11.SessionHandle) error) error {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return err
	}
	for _, slot := range slots {
		about, err := ctx.GetTokenInfo(slot)
		if err != nil || about.Label != h.Label {
			continue
		}
		sh, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			return err
		}
		if err := ctx.Login(sh, user, pin); err != nil {
			return err
		}
		return work(sh)
	}
	return fmt.Errorf("there is no token %q", h.Label)
}

// Generate makes an AES-256 key as Strongkeep wants it, with changes of its attributes. One of
// type CKK_DES3 has no size.
func (h *Token) Generate(label, id string, changes map[uint]any) {
	h.Helper()
	attributes := map[uint]any{
		pkcs11.CKA_CLASS: pkcs11.CKO_SECRET_KEY, pkcs11.CKA_KEY_TYPE: pkcs11.CKK_AES, pkcs11.CKA_VALUE_LEN: 32,
		pkcs11.CKA_TOKEN: true, pkcs11.CKA_PRIVATE: true, pkcs11.CKA_SENSITIVE: true, pkcs11.CKA_EXTRACTABLE: false,
		pkcs11.CKA_ENCRYPT: true, pkcs11.CKA_DECRYPT: true, pkcs11.CKA_LABEL: label, pkcs11.CKA_ID: []byte(id),
	}
	maps.Copy(attributes, changes)
	mechanism := uint(pkcs11.CKM_AES_KEY_GEN)
	if attributes[pkcs11.CKA_KEY_TYPE] == pkcs11.CKK_DES3 {
		mechanism = pkcs11.CKM_DES3_KEY_GEN
		delete(attributes, pkcs11.CKA_VALUE_LEN)
	}
	var template []*pkcs11.Attribute
	for kind, value := range attributes {
		template = append(template, pkcs11.NewAttribute(kind, value))
	}
	h.loggedIn(func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) error {
		_, err := ctx.GenerateKey(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, template)
		return err
	})
}

// Change sets an attribute of the keys of a label.
func (h *Token) Change(label string, attribute uint, value any) {
	h.Helper()
	h.each(label, func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
		return ctx.SetAttributeValue(sh, object, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, value)})
	})
}

// Delete destroys the keys of a label.
func (h *Token) Delete(label string) {
	h.Helper()
	h.each(label, func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle, object pkcs11.ObjectHandle) error {
		return ctx.DestroyObject(sh, object)
	})
}

// loggedIn runs work in a session of the user's.
func (h *Token) loggedIn(work func(*pkcs11.Ctx, pkcs11.SessionHandle) error) {
	h.Helper()
	h.module(func(ctx *pkcs11.Ctx) error {
		return h.session(ctx, pkcs11.CKU_USER, PIN, func(sh pkcs11.SessionHandle) error { return work(ctx, sh) })
	})
}

// each runs work on the keys of a label, of which there must be one.
func (h *Token) each(label string, work func(*pkcs11.Ctx, pkcs11.SessionHandle, pkcs11.ObjectHandle) error) {
	h.Helper()
	h.loggedIn(func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) error {
		if err := ctx.FindObjectsInit(sh, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}); err != nil {
			return err
		}
		found, _, err := ctx.FindObjects(sh, 100)
		if err != nil {
			return err
		}
		if err := ctx.FindObjectsFinal(sh); err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("there is no key %q", label)
		}
		for _, object := range found {
			if err := work(ctx, sh, object); err != nil {
				return err
			}
		}
		return nil
	})
}
