package api_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/crypto/bcrypt"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// world is a vault with users who log in by password.
type world struct {
	*testenv.Vault
	t        *testing.T
	accessor string // of userpass
}

func newWorld(t *testing.T, change func(*app.ServerConfig)) *world {
	t.Helper()
	v := testenv.Start(t, change)
	w := &world{v, t, ""}
	w.accessor = w.enable("up", "userpass")
	return w
}

// enable mounts an auth method and returns its accessor.
func (w *world) enable(path, kind string) string {
	w.t.Helper()
	if err := w.Sys().EnableAuthWithOptions(path, &vault.EnableAuthOptions{Type: kind}); err != nil {
		w.t.Fatal(err)
	}
	all, err := w.Sys().ListAuth()
	if err != nil {
		w.t.Fatal(err)
	}
	return all[path+"/"].Accessor
}

// write returns the data of the answer.
func (w *world) write(path string, data map[string]any) map[string]any {
	w.t.Helper()
	s, err := w.Logical().Write(path, data)
	if err != nil {
		w.t.Fatalf("writing %s: %v", path, err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

// read returns nil if there is nothing.
func (w *world) read(path string) map[string]any {
	w.t.Helper()
	s, err := w.Logical().Read(path)
	if err != nil {
		w.t.Fatalf("reading %s: %v", path, err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

func (w *world) remove(path string) {
	w.t.Helper()
	if _, err := w.Logical().Delete(path); err != nil {
		w.t.Fatalf("deleting %s: %v", path, err)
	}
}

// refused checks that a write fails with a status and a text.
func (w *world) refused(path string, data map[string]any, status int, text string) {
	w.t.Helper()
	_, err := w.Logical().Write(path, data)
	wantStatus(w.t, err, status, text)
}

func wantStatus(t *testing.T, err error, status int, text string) {
	t.Helper()
	var answer *vault.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %d with %q", err, status, text)
	}
}

func (w *world) user(name, policies string) {
	w.t.Helper()
	w.write("auth/up/users/"+name, map[string]any{"password_hash": cheap(w.t, "canary-"+name), "token_policies": policies})
}

// login returns a client with the new token, and the auth block.
func (w *world) login(name string) (*vault.Client, *vault.SecretAuth) {
	w.t.Helper()
	c, a, err := w.tryLogin(name)
	if err != nil {
		w.t.Fatalf("logging in as %s: %v", name, err)
	}
	return c, a
}

func (w *world) tryLogin(name string) (*vault.Client, *vault.SecretAuth, error) {
	s, err := w.NewClient("").Logical().Write("auth/up/login/"+name, map[string]any{"password": "canary-" + strings.ToLower(name)})
	if err != nil {
		return nil, nil, err
	}
	return w.NewClient(s.Auth.ClientToken), s.Auth, nil
}

func (w *world) policy(name, text string) {
	w.t.Helper()
	if err := w.Sys().PutPolicy(name, text); err != nil {
		w.t.Fatal(err)
	}
}

// may reports whether a client may read a path of sys/capabilities-self.
func may(t *testing.T, c *vault.Client, path string) bool {
	t.Helper()
	caps, err := c.Sys().CapabilitiesSelf(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(strings.Join(caps, " "), "read")
}

// raw sends a request as it is and returns status and decoded body.
func (w *world) raw(method, path, body string) (int, map[string]any) {
	w.t.Helper()
	a := w.HTTP(method, path, strings.NewReader(body))
	var decoded map[string]any
	if a.Body != "" {
		if err := json.Unmarshal([]byte(a.Body), &decoded); err != nil {
			w.t.Fatal(err)
		}
	}
	return a.Status, decoded
}

func strs(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, e.(string))
	}
	return out
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not happen")
		}
	}
}

// cheap is a hash of a password that costs little to check.
func cheap(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}
