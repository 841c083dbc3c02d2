package database

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// memory is a database that knows one password.
type memory struct{ password *string }

func (memory) Ping(context.Context) error                    { return nil }
func (memory) Create(context.Context, *driver.Account) error { return nil }
func (memory) Delete(context.Context, *driver.Account) error { return nil }
func (memory) Close()                                        {}

func (m memory) Update(_ context.Context, a *driver.Account) error {
	*m.password = a.Password.RevealString()
	return nil
}

// Of two who carry out one change the slower must not set its password once more
// after a third change: nobody would know what the database has then.
func TestLateRotationSetsNothing(t *testing.T) {
	inDatabase := ""
	h := enginetest.New(t, New(driver.Type{
		Names: []string{"memory"}, MaxUsername: 64, Username: `{{random 20}}`,
		Open: func(driver.Config) (driver.Database, error) { return memory{&inDatabase}, nil },
	}))
	for _, r := range [][2]string{
		{"config/db", `{"plugin_name":"memory","connection_url":"x","username":"u","password":"p","allowed_roles":"*"}`},
		{"static-roles/s", `{"db_name":"db","username":"s","rotation_period":"1h","skip_import_rotation":true,"password":"first"}`},
	} {
		if _, err := h.Do(engine.Update, r[0], r[1]); err != nil {
			t.Fatal(r[0], err)
		}
	}
	e := h.Engine.(*Engine)
	var late, quick *target
	if err := e.change(t.Context(), subject{name: "s"}, func(now *target) (bool, error) {
		now.state.begin("second", h.Now())
		a, b := *now, *now
		late, quick = &a, &b
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.carryOut(t.Context(), quick); err != nil || inDatabase != "second" {
		t.Fatalf("the first: %v", err)
	}
	if err := e.carryOut(t.Context(), late); err != nil {
		t.Errorf("what another has done is done: %v", err)
	}
	if _, err := h.Do(engine.Update, "rotate-role/s", ""); err != nil {
		t.Fatal(err)
	}
	if err := e.carryOut(t.Context(), late); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a change that was overtaken: %v", err)
	}
	res, err := h.Do(engine.Read, "static-creds/s", "")
	if err != nil {
		t.Fatal(err)
	}
	var given struct{ Password string }
	if err := json.Unmarshal(res.Data, &given); err != nil || given.Password == "second" || given.Password != inDatabase {
		t.Error("static-creds does not give the password that the database has")
	}
}

func TestTurns(t *testing.T) {
	var all turns
	s := subject{name: "s"}
	release, err := all.take(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	other, err := all.take(t.Context(), subject{root: true, name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	other()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(ended, s); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a turn that another has: %v", err)
	}
	came := make(chan error)
	go func() {
		release, err := all.take(t.Context(), s)
		if err == nil {
			release()
		}
		came <- err
	}()
	release()
	select {
	case err := <-came:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the turn was not handed on")
	}
	if len(all.held) != 0 {
		t.Errorf("%d turns are kept", len(all.held))
	}
}
