package redis

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/drivertest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func suite(t *testing.T) drivertest.Suite {
	return drivertest.Suite{
		Type: Type(), Server: dbtest.Redis(t), Creation: []string{"~app:*", "+@read"},
		Names: []string{"it's", `"double"`, `back\slash`, "Ünïcode", ">sign", "#hash", "50%"},
	}
}

func TestSuite(t *testing.T) { drivertest.Run(t, suite(t)) }

func TestRules(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string
	}{
		{nil, "~* +@read"},
		{[]string{"~app:*", "+@read"}, "~app:* +@read"},
		{[]string{`["~app:*", "+@read"]`}, "~app:* +@read"},
		{[]string{"~app:* +@read (~x +get)"}, "~app:* +@read (~x +get)"},
	} {
		rules, err := parseRules(c.in)
		var got []string
		for _, r := range rules {
			got = append(got, r.(string))
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
	}
	for _, rule := range []string{">pw", "<pw", "#00", "!00", "nopass", "NoPass", "resetpass", "reset", "off", " "} {
		if _, err := parseRules([]string{rule}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", rule, err)
		}
	}
}

// The server never sees a password, and keeps the user over a restart.
func TestPasswordsAreHashedAndUsersKept(t *testing.T) {
	s := suite(t)
	admin := redis.NewClient(&redis.Options{Addr: s.Server.Address})
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := admin.Do(ctx, "CONFIG", "SET", "slowlog-log-slower-than", "0").Err(); err != nil {
		t.Fatal(err)
	}
	db := s.Open(t, s.Server.User, s.Server.Password, `{"persistence_mode":"ACLFILE"}`)
	a := &driver.Account{Username: "kept", Password: redact.FromString("canary-kept"), Statements: s.Creation}
	if err := db.Create(ctx, a); err != nil {
		t.Fatal(err)
	}
	if slow := admin.Do(ctx, "SLOWLOG", "GET", "128").String(); strings.Contains(slow, "canary") || !strings.Contains(slow, "SETUSER") {
		t.Error("the slow log holds the password, or not the command")
	}
	s.Server.Kill(t)
	s.Server.Start(t)
	if err := s.Login(t, "kept", "canary-kept"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if file, err := os.ReadFile(filepath.Join(s.Server.Dir, "users.acl")); err != nil || strings.Contains(string(file), "canary") {
		t.Errorf("the file of users holds the password, or: %v", err)
	}
	if err := db.Delete(ctx, &driver.Account{Username: "kept"}); err != nil {
		t.Fatal(err)
	}
}

// SETUSER on a user who is there would take it over.
func TestCreateTakesNobodyOver(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made := func(name, password string, rules ...string) *driver.Account {
		return &driver.Account{Username: name, Password: redact.FromString(password), Statements: rules}
	}
	if err := db.Create(ctx, made("bystander", "first", "~app:*", "+@read")); err != nil {
		t.Fatal(err)
	}
	err := db.Create(ctx, made("bystander", "second", "~*", "+@all"))
	if !errs.Is(err, errs.Invalid) || !engine.IsUnmade(err) || !strings.Contains(err.Error(), "already") {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := s.Login(t, "bystander", "first"); err != nil {
		t.Errorf("the bystander: %v", err)
	}
	for _, rules := range [][]string{{"+nonsense"}, {"~x", "(~y", "+get"}, {">pw"}} {
		if err := db.Create(ctx, made("nobody", "pw", rules...)); !errs.Is(err, errs.Invalid) || !engine.IsUnmade(err) {
			t.Errorf("%q: %v", rules, err)
		}
		if err := s.Login(t, "nobody", "pw"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q made a user: %v", rules, err)
		}
	}
	if err := s.Open(t, s.Server.User, s.Server.Password, `{"persistence_mode":"rewrite"}`).Create(ctx, made("unkept", "pw", "+get")); err == nil || engine.IsUnmade(err) {
		t.Errorf("a user who is there and could not be kept: %v", err)
	}
	for _, name := range []string{"bystander", "unkept"} {
		if err := db.Delete(ctx, &driver.Account{Username: name}); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusedConfigs(t *testing.T) {
	for _, url := range []string{"", "redis://u:canary@host:port", "http://canary"} {
		_, err := open(driver.Config{URL: url, Pool: driver.Pool{MaxOpen: 1}})
		if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Where a login goes is what Open would dial, and its user is never nobody.
func TestWhere(t *testing.T) {
	for details, want := range map[string]driver.Where{
		`{}`:                       {Server: "url:7000", Username: "default"},
		`{"host":"h"}`:             {Server: "h:6379", Username: "default"},
		`{"host":"h","port":7001}`: {Server: "h:7001", Username: "default"},
	} {
		body, err := engine.ParseBody([]byte(details))
		if err != nil {
			t.Fatal(err)
		}
		c := driver.Config{URL: "redis://{{username}}:{{password}}@url:7000", Details: body}
		if got, err := where(c); err != nil || got != want {
			t.Errorf("%s: %v, %v", details, got, err)
		}
		c.Username = "vault"
		if got, err := where(c); err != nil || got.Username != "vault" {
			t.Errorf("%s as vault: %v, %v", details, got, err)
		}
	}
	if _, err := where(driver.Config{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("nowhere: %v", err)
	}
}

// What CLIENT LIST says, however it looks.
func FuzzParseClients(f *testing.F) {
	f.Add("id=3 addr=127.0.0.1:52555 laddr=127.0.0.1:6379 name=worker age=5 idle=0 user=app\nid=4 addr=[::1]:9 name= age=x user=app\n", "app")
	f.Add("user=app user=other addr=", "other")
	f.Fuzz(func(t *testing.T, list, username string) {
		now := time.Unix(1e9, 0)
		for _, s := range parseClients(list, username, now) {
			if s.Since.After(now) || strings.ContainsAny(s.Address+s.Client, " \n\t") {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestParseClients(t *testing.T) {
	got := parseClients("id=3 addr=127.0.0.1:52555 name=worker age=5 user=app\nid=4 addr=[::1]:9 name= age=x user=app\nid=5 addr=/run/redis.sock:0 user=app2\n", "app", time.Unix(100, 0))
	if len(got) != 2 || got[0] != (driver.Session{Address: "127.0.0.1", Client: "worker", Since: time.Unix(95, 0).UTC()}) || got[1] != (driver.Session{Address: "::1"}) {
		t.Errorf("%+v", got)
	}
}

// A user who logs in with any password would not any more with a second one.
func TestNoPasswordIsAddedToNopass(t *testing.T) {
	s := suite(t)
	db := s.Admin(t).(*database)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := db.client.Do(ctx, "ACL", "SETUSER", "open", "on", "nopass").Err(); err != nil {
		t.Fatal(err)
	}
	defer db.Delete(ctx, &driver.Account{Username: "open"})
	if err := db.AddPassword(ctx, "open", redact.FromString("second")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "nopass") {
		t.Errorf("adding a password: %v", err)
	}
	if err := s.Login(t, "open", "anything"); err != nil {
		t.Errorf("it does not log in any more: %v", err)
	}
}
