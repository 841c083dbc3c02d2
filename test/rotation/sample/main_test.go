package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

const patience = 4 * time.Minute

// canary is in every password here.
const canary = "c4n4ry/p@ss w%rd"

// collector keeps the last report.
type collector struct {
	*httptest.Server
	mu   sync.Mutex
	last Stats
}

func collect(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(body), canary) {
			t.Errorf("a report that cannot be read, or with a password: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := json.Unmarshal(body, &c.last); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) seen() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// running is an application that runs in the test's process.
type running struct {
	t    *testing.T
	url  string
	stop context.CancelFunc
	end  chan error
}

// start runs the application and waits until it listens.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	a := &running{t: t, stop: cancel, end: make(chan error, 1)}
	go func() { a.end <- run(ctx, append(args, "-listen=127.0.0.1:0", "-name=test"), w); w.Close() }()
	t.Cleanup(cancel)
	lines := bufio.NewScanner(r)
	for a.url == "" && lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
			a.url = "http://" + at
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if a.url == "" {
		t.Fatalf("it does not listen: %v", <-a.end)
	}
	return a
}

// until asks for /stats until they are as wanted.
func (a *running) until(what string, want func(Stats) bool) Stats {
	a.t.Helper()
	var s Stats
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(a.t.Context(), 10*time.Millisecond) {
		res, err := http.Get(a.url + "/stats")
		if err != nil {
			a.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || strings.Contains(string(body), canary) {
			a.t.Fatalf("stats that cannot be read, or with a password: %v", err)
		}
		if err := json.Unmarshal(body, &s); err != nil {
			a.t.Fatal(err)
		}
		if want(s) {
			return s
		}
	}
	a.t.Fatalf("%s: not seen; last: %+v", what, s)
	return s
}

func (a *running) ready() int {
	a.t.Helper()
	res, err := http.Get(a.url + "/ready")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// untilReady waits for an answer to whether it is ready: each worker's last
// query decides, and some have a connection of before for a while.
func (a *running) untilReady(want int) {
	a.t.Helper()
	got := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(a.t.Context(), 10*time.Millisecond) {
		if got = a.ready(); got == want {
			return
		}
	}
	a.t.Fatalf("ready: %d, never %d", got, want)
}

var nonce = []byte("0123456789abcdef")

func digest(password string) string {
	mac := hmac.New(sha256.New, nonce)
	mac.Write([]byte(password))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// proves asks for the digest of the password in use, once no older pool is.
func (a *running) proves() string {
	a.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause(a.t.Context(), 10*time.Millisecond) {
		res, err := http.Get(a.url + "/credential?nonce=" + base64.RawURLEncoding.EncodeToString(nonce))
		if err != nil {
			a.t.Fatal(err)
		}
		var answer struct{ Key, Digest string }
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			if err != nil || answer.Key != "password" {
				a.t.Fatalf("answer: %+v, %v", answer, err)
			}
			return answer.Digest
		}
	}
	a.t.Fatal("an older pool is in use for ever")
	return ""
}

func (a *running) terminate() {
	a.t.Helper()
	a.stop()
	if err := <-a.end; err != nil {
		a.t.Error(err)
	}
}

// user makes a user who may log in, until the test ends.
func user(t *testing.T, s *dbtest.Server, name, password string) {
	t.Helper()
	if s.Kind == "mariadb" {
		execute(t, s, "CREATE USER '"+name+"'@'%' IDENTIFIED BY '"+password+"'")
		t.Cleanup(func() { execute(t, s, "DROP USER '"+name+"'@'%'") })
		return
	}
	execute(t, s, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
	t.Cleanup(func() { execute(t, s, "DROP ROLE "+name) })
}

// execute runs statements as the database's administrator.
func execute(t *testing.T, s *dbtest.Server, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if s.Kind == "mariadb" {
		db, err := sql.Open("mysql", s.URL(s.User, s.Password))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, text := range statements {
			if _, err := db.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		return
	}
	conf, err := pgx.ParseConfig(s.URL(s.User, "x"))
	if err != nil {
		t.Fatal(err)
	}
	conf.Password = s.Password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, text := range statements {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// mounted is a folder as the kubelet keeps it for a Secret.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) write(user, password string) {
	m.t.Helper()
	m.n++
	name := fmt.Sprintf("..%d", m.n)
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(m.dir, name), 0o755))
	must(os.WriteFile(filepath.Join(m.dir, name, "username"), []byte(user), 0o644))
	must(os.WriteFile(filepath.Join(m.dir, name, "password"), []byte(password), 0o644))
	must(os.Symlink(name, filepath.Join(m.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
}

// A credential in files changes under load and no query fails; connections of
// the old one go; the old one refused is counted as that.
func TestFilesChangeUnderLoad(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	user(t, pg, "file_a", canary+"1")
	user(t, pg, "file_b", canary+"2")
	m := &mounted{t: t, dir: t.TempDir()}
	m.write("file_a", canary+"1")
	c := collect(t)
	args := []string{"-address=" + pg.Address, "-database=postgres", "-source=file", "-dir=" + m.dir, "-every=1ms", "-life=100ms", "-reload=5ms"}
	a := start(t, append(args, "-report="+c.URL)...)
	a.until("queries as a", func(s Stats) bool { return s.Users["file_a"] > 100 && s.Logins > 5 })
	a.untilReady(http.StatusOK)
	for turn := range 6 {
		name, next := "file_b", "2"
		if turn%2 == 1 {
			name, next = "file_a", "1"
		}
		had := a.until("now", func(Stats) bool { return true }).Users[name]
		m.write(name, canary+next)
		a.until("queries as "+name, func(s Stats) bool { return s.User == name && s.Users[name] > had+50 })
	}
	if got, want := a.proves(), canary+"1"; got != digest(want) {
		t.Error("it does not prove the credential that it uses")
	}
	execute(t, pg, "ALTER ROLE file_b NOLOGIN") // nobody uses it now
	a.until("more", func(s Stats) bool { return s.Reloads == 6 && s.Users["file_a"] > 200 })
	a.terminate()
	s := c.seen()
	if s.Failures != 0 || !s.Final || s.Reloads != 6 || s.Queries != s.Users["file_a"]+s.Users["file_b"] || s.Name != "test" {
		t.Errorf("the last report: %+v", s)
	}

	// And an application that never reloads is refused once its user is closed.
	stale := start(t, append(args, "-reload=0")...)
	stale.until("queries", func(s Stats) bool { return s.Queries > 10 })
	m.write("file_b", canary+"2")
	execute(t, pg, "ALTER ROLE file_a NOLOGIN")
	s = stale.until("refused", func(s Stats) bool { return s.Refused > 0 })
	if s.User != "file_a" || s.Failures < s.Refused || !strings.Contains(s.LastError, "file_a") {
		t.Errorf("a user that is closed: %+v", s)
	}
	stale.untilReady(http.StatusServiceUnavailable) // once no worker has a connection from before
	stale.terminate()
}

// A new credential that does not work is a failure, and the old one goes on.
func TestNewCredentialRefused(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	user(t, pg, "kept", canary)
	m := &mounted{t: t, dir: t.TempDir()}
	m.write("kept", canary)
	a := start(t, "-address="+pg.Address, "-database=postgres", "-source=file", "-dir="+m.dir, "-reload=5ms")
	a.until("queries", func(s Stats) bool { return s.Queries > 10 })
	m.write("nobody", canary)
	before := a.until("the refusal", func(s Stats) bool { return s.Refused > 0 }).Users["kept"]
	a.until("the old one to go on", func(s Stats) bool { return s.Users["kept"] > before+10 && s.User == "kept" })
	a.terminate()
}

func TestEnvironmentWithMariaDB(t *testing.T) {
	db := dbtest.MariaDB(t)
	user(t, db, "env_a", canary)
	t.Setenv("DB_USERNAME", "env_a")
	t.Setenv("DB_PASSWORD", canary)
	args := []string{"-kind=mariadb", "-address=" + db.Address, "-every=1ms", "-life=20ms"}
	a := start(t, args...)
	a.until("queries", func(s Stats) bool { return s.Users["env_a"] > 100 && s.Logins > 5 && s.Failures == 0 })
	execute(t, db, "ALTER USER 'env_a'@'%' ACCOUNT LOCK")
	s := a.until("refused", func(s Stats) bool { return s.Refused > 0 })
	if s.Reloads != 0 {
		t.Errorf("an environment that changes: %+v", s)
	}
	a.terminate()
	execute(t, db, "ALTER USER 'env_a'@'%' ACCOUNT UNLOCK")

	unready := start(t, append(args, "-unready-as=env_a")...)
	unready.until("queries", func(s Stats) bool { return s.Users["env_a"] > 0 })
	if got := unready.ready(); got != http.StatusServiceUnavailable {
		t.Errorf("told to be unready: %d", got)
	}
	unready.terminate()
	if err := run(t.Context(), append(args, "-crash-as=env_a"), io.Discard); err == nil || !strings.Contains(err.Error(), "told to crash") {
		t.Errorf("told to crash: %v", err)
	}
}

func TestWrongUse(t *testing.T) {
	t.Setenv("DB_USERNAME", "")
	for _, args := range [][]string{
		{}, {"-address=x:1", "more"}, {"-address=x:1", "-kind=oracle"}, {"-address=x:1", "-source=mail"},
		{"-address=x:1", "-workers=0"}, {"-address=x:1"}, {"-address=x:1", "-source=file", "-dir=" + t.TempDir()}, {"-nonsense"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
