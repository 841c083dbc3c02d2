package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// database is one server.
type database struct {
	client   *redis.Client
	mode     string // rewrite, aclfile or ""
	password string
}

// defaultRules are what Vault gives a user whose role says nothing.
var defaultRules = []string{"~*", "+@read"}

// Close implements driver.Database.
func (d *database) Close() { _ = d.client.Close() }

// Ping implements driver.Database. A user who may log in may not be allowed to
// PING; who is refused that has logged in.
func (d *database) Ping(ctx context.Context) error {
	err := d.client.Ping(ctx).Err()
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
		return nil
	}
	return d.fail("logging in", err)
}

// Create implements driver.Database.
func (d *database) Create(ctx context.Context, a *driver.Account) error {
	rules, err := parseRules(a.Statements)
	if err != nil {
		return engine.Unmade(err)
	}
	// SETUSER would take over a user of that name, who may be somebody's.
	switch err := d.client.Do(ctx, "ACL", "GETUSER", a.Username).Err(); {
	case err == nil:
		return engine.Unmade(errs.New(errs.Invalid, "making the user: there is one of that name already"))
	case !errors.Is(err, redis.Nil):
		return engine.Unmade(d.fail("looking for a user of that name", err))
	}
	args := append([]any{"ACL", "SETUSER", a.Username, "reset", "on", hashed(a.Password)}, rules...)
	if err := d.client.Do(ctx, args...).Err(); err != nil {
		err = d.fail("making the user", err)
		if errs.Is(err, errs.Invalid) { // the server takes all rules or none
			return engine.Unmade(err)
		}
		return err
	}
	return d.keep(ctx)
}

// Update implements driver.Database. Redis knows no time at which a user
// expires, and statements have no meaning here.
func (d *database) Update(ctx context.Context, a *driver.Account) error {
	if a.Password.Empty() {
		return nil
	}
	users, err := d.users(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(users, a.Username) { // SETUSER would make one
		return errs.New(errs.Invalid, "changing the password: there is no such user")
	}
	return d.change(ctx, "changing the password", "ACL", "SETUSER", a.Username, "resetpass", hashed(a.Password))
}

// Delete implements driver.Database. The server ends the user's sessions itself.
func (d *database) Delete(ctx context.Context, a *driver.Account) error {
	return d.change(ctx, "removing the user", "ACL", "DELUSER", a.Username)
}

func (d *database) users(ctx context.Context) ([]string, error) {
	users, err := d.client.Do(ctx, "ACL", "USERS").StringSlice()
	return users, d.fail("looking for the user", err)
}

// change runs a command and has the server keep what it changed.
func (d *database) change(ctx context.Context, doing string, args ...any) error {
	if err := d.client.Do(ctx, args...).Err(); err != nil {
		return d.fail(doing, err)
	}
	return d.keep(ctx)
}

// keep has the server keep its users over a restart, as is configured.
func (d *database) keep(ctx context.Context) error {
	switch d.mode {
	case "rewrite":
		return d.fail("keeping the users (CONFIG REWRITE)", d.client.ConfigRewrite(ctx).Err())
	case "aclfile":
		return d.fail("keeping the users (ACL SAVE)", d.client.Do(ctx, "ACL", "SAVE").Err())
	}
	return nil
}

// hashed is the rule that sets a password without showing it.
func hashed(password redact.Secret) string {
	sum := sha256.Sum256(password.Reveal())
	return "#" + hex.EncodeToString(sum[:])
}

// parseRules reads a role's statements: each a rule, several with blanks between
// them, or a JSON list of rules.
func parseRules(statements []string) ([]any, error) {
	if len(statements) == 0 {
		statements = defaultRules
	}
	var rules []any
	for _, s := range statements {
		var items []string
		if json.Unmarshal([]byte(s), &items) != nil {
			items = fields(s)
		}
		for _, rule := range items {
			if err := checkRule(rule); err != nil {
				return nil, err
			}
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return nil, errs.New(errs.Invalid, "empty creation statements: give ACL rules, such as [\"~app:*\", \"+@read\"]")
	}
	return rules, nil
}

// fields splits at blanks that stand outside of a selector's brackets.
func fields(s string) []string {
	depth := 0
	return strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return depth <= 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == ';')
	})
}

// checkRule refuses what would give a user another password than that of its lease.
func checkRule(rule string) error {
	lower := strings.ToLower(rule)
	if rule == "" || strings.ContainsAny(rule[:1], "><#!") || lower == "nopass" || lower == "resetpass" || lower == "reset" || lower == "off" {
		return errs.New(errs.Invalid, "a rule of creation_statements is about passwords or switches the user off: leave that to the vault")
	}
	return nil
}

// fail says what went wrong while doing something, with no word of it secret.
func (d *database) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	var said redis.Error
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &said):
		return d.refusal(doing, said.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errs.Newf(errs.Unavailable, "%s: the database did not answer in time", doing)
	case errors.Is(err, context.Canceled):
		return errs.Newf(errs.Unavailable, "%s: given up", doing)
	case errors.As(err, &op):
		return errs.Newf(errs.Unavailable, "%s: the database cannot be reached: %s", doing, driver.Hide(op.Err.Error(), d.password))
	}
	return errs.Newf(errs.Unavailable, "%s: the connection to the database failed: %s", doing, driver.Hide(err.Error(), d.password))
}

func (d *database) refusal(doing, text string) error {
	code, _, _ := strings.Cut(text, " ")
	text = driver.Hide(text, d.password)
	switch code {
	case "WRONGPASS", "NOAUTH":
		return errs.Newf(errs.Invalid, "%s: %w (%s)", doing, driver.ErrPassword, code)
	case "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "MISCONF":
		return errs.Newf(errs.Unavailable, "%s: the database cannot do it now: %s", doing, text)
	}
	return errs.Newf(errs.Invalid, "%s: %s", doing, text)
}
