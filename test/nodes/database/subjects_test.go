package database_test

import (
	"errors"
	"fmt"
	"net/http"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/test/nodes/fleet"
)

// static is the password of static roles.
type static struct{}

func (static) name(at point) string { return "static_" + string(at) }

func (s static) prepare(w *world) {
	for _, at := range points {
		w.sql(create(s.name(at)))
		w.write(w.paused, "static-roles/"+s.name(at), map[string]any{"db_name": "db", "username": s.name(at), "rotation_period": "24h"})
	}
}

func (s static) begin(w *world, at point) {
	w.act(`ALTER ROLE "`+s.name(at), at, ask(w.Context(), "database/rotate-role/"+s.name(at), nil))
}

// takeOver begins with what works already, whether the database has the new password or not.
func (s static) takeOver(w *world) {
	for _, at := range points {
		fleet.Eventually(w, w.other.Name+" knows the password of "+s.name(at), func() error { return w.given(w.other, "static-creds/"+s.name(at)) })
		w.on(w.other, "rotate-role/"+s.name(at), nil)
	}
}

// goOn draws yet another password, which is not done before the first change is old.
func (s static) goOn(w *world) {
	for _, at := range points {
		path := "static-creds/" + s.name(at)
		var before string
		fleet.Asked(w, path, func() (err error) { _, before, err = w.credential(w.other, path); return err })
		fleet.Eventually(w, "another password of "+s.name(at), func() error {
			_, err := w.other.Client().Logical().WriteWithContext(w.Context(), "database/rotate-role/"+s.name(at), nil)
			if _, now, readErr := w.credential(w.other, path); readErr == nil && now != before {
				return nil
			}
			return fmt.Errorf("it is the same: %w", err)
		})
	}
}

func (s static) well(w *world, at point) error { return w.same("static-creds/" + s.name(at)) }

// root is the password of the vault's own user of connections.
type root struct{}

func (root) name(at point) string { return "root_" + string(at) }

func (r root) prepare(w *world) {
	for _, at := range points {
		w.sql(create(r.name(at)) + " CREATEROLE")
		w.connection(r.name(at), r.name(at), "first")
		w.write(w.paused, "roles/"+r.name(at), map[string]any{
			"db_name": r.name(at), "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, "default_ttl": "1h",
		})
	}
}

func (r root) begin(w *world, at point) {
	w.act(`ALTER ROLE "`+r.name(at), at, ask(w.Context(), "database/rotate-root/"+r.name(at), nil))
}

// takeOver begins with what works at once, whether the database has the new password or not.
func (r root) takeOver(w *world) {
	for _, at := range points {
		fleet.Eventually(w, w.other.Name+" makes users as "+r.name(at), func() error {
			err := w.given(w.other, "creds/"+r.name(at))
			if refused := new(vault.ResponseError); errors.As(err, &refused) && refused.StatusCode < http.StatusInternalServerError {
				w.Fatal(err) // it knows no password that works; that it finds one later is not enough
			}
			return err
		})
		w.on(w.other, "rotate-root/"+r.name(at), nil)
	}
}

func (r root) goOn(w *world) {
	for _, at := range points {
		w.on(w.other, "rotate-root/"+r.name(at), nil)
	}
}

// well is that both nodes log in anew and make users.
func (r root) well(w *world, at point) error {
	for _, n := range w.fleet.Nodes {
		if _, err := n.Client().Logical().WriteWithContext(w.Context(), "database/reset/"+r.name(at), nil); err != nil {
			return err
		}
		if err := w.given(n, "creds/"+r.name(at)); err != nil {
			return err
		}
	}
	return nil
}

// turning is alternating roles: the first turn is staged by the node that is stopped, and retired
// by the second one of the other.
type turning struct{}

func (turning) name(at point) string { return "turning_" + string(at) }

func (u turning) prepare(w *world) {
	for _, at := range points {
		w.write(w.paused, "alternating-roles/"+u.name(at), map[string]any{
			"db_name": "db", "usernames": u.name(at) + "_a," + u.name(at) + "_b", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
		})
	}
}

func (u turning) act(at point, verb string) string {
	return "alternating-roles/" + u.name(at) + "/" + verb
}

func (u turning) begin(w *world, at point) {
	w.act(`CREATE ROLE "`+u.name(at)+"_a", at, ask(w.Context(), "database/"+u.act(at, "stage"), map[string]any{"turn": 1, "holder": "apps/x"}))
}

func (u turning) takeOver(w *world) {
	for _, at := range points {
		w.on(w.other, u.act(at, "stage"), map[string]any{"turn": 1, "holder": "apps/x"})
	}
}

func (u turning) goOn(w *world) {
	for _, at := range points {
		for turn := 1; turn <= 2; turn++ {
			for _, verb := range []string{"stage", "publish", "close", "retire"} {
				data := map[string]any{"turn": turn, "holder": "apps/x"}
				switch verb {
				case "publish":
					data["side"] = "new"
				case "retire":
					data["side"] = "old"
				}
				w.on(w.other, u.act(at, verb), data)
			}
		}
	}
}

// well is that who was retired is not there, and who is published logs in.
func (u turning) well(w *world, at point) error {
	if n := w.users(u.name(at) + "_a"); n != 0 {
		return fmt.Errorf("%s_a was retired, and is there", u.name(at))
	}
	return w.same("alternating-creds/" + u.name(at))
}

// made is users who are made while nobody waits for them any more.
type made struct{ acts map[point]*act }

// role is short: names of users have eight letters of it.
func (*made) role(at point) string { return "made-" + string(at[:3]) }

func (m *made) prepare(w *world) {
	m.acts = map[point]*act{}
	for _, at := range points {
		w.write(w.paused, "roles/"+m.role(at), map[string]any{
			"db_name": "db", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, "default_ttl": "10s", "max_ttl": "10s",
		})
	}
}

func (m *made) begin(w *world, at point) {
	m.acts[at] = w.act(m.role(at), at, func(c *vault.Client) error {
		_, err := c.Logical().ReadWithContext(w.Context(), "database/creds/"+m.role(at))
		return err
	})
}

func (m *made) takeOver(*world) {}

// goOn waits until the leases are gone.
func (m *made) goOn(w *world) {
	for _, at := range points {
		fleet.Eventually(w, "the lease of "+m.role(at)+" ends", func() error {
			return none(w, w.other, "sys/leases/lookup/database/creds/"+m.role(at))
		})
	}
}

// well is that nobody was given a user that is none.
func (m *made) well(w *world, at point) error {
	select {
	case err := <-m.acts[at].answered:
		if err == nil {
			w.Errorf("%s: a user was given whose lease was over", m.role(at))
		}
	default: // that was looked at before
	}
	if err := none(w, w.paused, "sys/leases/lookup/database/creds/"+m.role(at)); err != nil {
		return err
	}
	if n := w.users("v-%" + m.role(at) + "%"); n != 0 {
		return fmt.Errorf("%d users of %s are left without a lease", n, m.role(at))
	}
	return nil
}

// none is nil if there is nothing in a list.
func none(w *world, n *fleet.Node, path string) error {
	s, err := n.Client().Logical().ListWithContext(w.Context(), path)
	if err != nil {
		return err
	}
	if s != nil && s.Data["keys"] != nil {
		return fmt.Errorf("%s: %v", path, s.Data["keys"])
	}
	return nil
}

// ended is users whose leases are being ended before their time.
type ended struct {
	how    way
	leases map[point]*vault.Secret
	holder *vault.Client // of the token that has the leases
}

// way is how leases are ended.
type way string

const (
	byID     way = "lease"
	byPrefix way = "prefix"
	byToken  way = "token" // by the expirer of the node that leads
)

// role is short: names of users have eight letters of it.
func (e *ended) role(at point) string { return "end-" + string(e.how[:1]) + "-" + string(at[:2]) }

// prepare gives each role a connection of its own: who drops users is in nobody's way.
func (e *ended) prepare(w *world) {
	e.leases, e.holder = map[point]*vault.Secret{}, w.paused.Client()
	fleet.Asked(w, "a token", func() error {
		made, err := e.holder.Auth().Token().CreateWithContext(w.Context(), &vault.TokenCreateRequest{Policies: []string{"root"}})
		if err == nil {
			e.holder.SetToken(made.Auth.ClientToken)
		}
		return err
	})
	for _, at := range points {
		w.connection(e.role(at), w.pg.User, w.pg.Password)
		w.write(w.paused, "roles/"+e.role(at), map[string]any{
			"db_name": e.role(at), "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, "default_ttl": "1h",
		})
		fleet.Asked(w, "a lease", func() (err error) {
			e.leases[at], err = e.holder.Logical().ReadWithContext(w.Context(), "database/creds/"+e.role(at))
			return err
		})
	}
}

func (e *ended) begin(w *world, at point) {
	user, _ := e.leases[at].Data["username"].(string)
	word := `DROP ROLE IF EXISTS "` + user
	switch e.how {
	case byID:
		w.act(word, at, ask(w.Context(), "sys/leases/revoke", map[string]any{"lease_id": e.leases[at].LeaseID, "sync": true}))
	case byPrefix:
		w.act(word, at, ask(w.Context(), "sys/leases/revoke-prefix/database/creds/"+e.role(at), map[string]any{"sync": true}))
	case byToken:
		w.catch(word, at)
		if at != points[len(points)-1] {
			return
		}
		// One token of all: the expirer takes up together what one commit made due.
		fleet.Asked(w, "the token is revoked", func() error { return e.holder.Auth().Token().RevokeSelfWithContext(w.Context(), "") })
	}
}

// takeOver is that nobody takes the leases for valid.
func (e *ended) takeOver(w *world) {
	for _, at := range points {
		fleet.Eventually(w, "the lease of "+e.role(at)+" is valid no more", func() error { return e.over(w, w.other, at) })
	}
}

// goOn waits until the users are dropped, though who set out to drop them does not come to it.
func (e *ended) goOn(w *world) {
	for _, at := range points {
		fleet.Eventually(w, "the users of "+e.role(at)+" are dropped", func() error { return e.dropped(w, at) })
	}
}

// over is nil if a node does not know the lease.
func (e *ended) over(w *world, n *fleet.Node, at point) error {
	for _, path := range []string{"sys/leases/lookup", "sys/leases/renew"} {
		_, err := n.Client().Logical().WriteWithContext(w.Context(), path, map[string]any{"lease_id": e.leases[at].LeaseID})
		if err == nil {
			return fmt.Errorf("%s of a lease of %s, which is being revoked, is answered", path, e.role(at))
		}
		if refused := new(vault.ResponseError); !errors.As(err, &refused) || refused.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("%s of a lease of %s, which is being revoked: %w", path, e.role(at), err)
		}
	}
	return nil
}

func (e *ended) dropped(w *world, at point) error {
	if n := w.users("v-%" + e.role(at) + "%"); n != 0 {
		return fmt.Errorf("%d users are left of %s", n, e.role(at))
	}
	return nil
}

func (e *ended) well(w *world, at point) error {
	if err := e.dropped(w, at); err != nil {
		return err
	}
	for _, n := range w.fleet.Nodes {
		if err := e.over(w, n, at); err != nil {
			return err
		}
	}
	return none(w, w.paused, "sys/leases/lookup/database/creds/"+e.role(at))
}
