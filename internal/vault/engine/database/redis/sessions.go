package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

var (
	_ driver.Gatekeeper = (*database)(nil)
	_ driver.Passwords  = (*database)(nil)
	_ driver.Witness    = (*database)(nil)
)

// account is what ACL GETUSER tells of a user.
type account struct {
	flags     []string
	passwords []string // SHA-256 in hex
}

// account asks for a user: SETUSER would make one who is not there. Kind NotExist.
func (d *database) account(ctx context.Context, doing, username string) (*account, error) {
	answer, err := d.client.Do(ctx, "ACL", "GETUSER", username).Result()
	if errors.Is(err, redis.Nil) {
		return nil, errs.Newf(errs.NotExist, "%s: there is no such user", doing)
	}
	if err != nil {
		return nil, d.fail(doing, err)
	}
	a := &account{}
	each := func(name, value any) {
		switch name {
		case "flags":
			a.flags = texts(value)
		case "passwords":
			a.passwords = texts(value)
		}
	}
	switch fields := answer.(type) {
	case map[any]any: // RESP3
		for name, value := range fields {
			each(name, value)
		}
	case []any:
		for i := 0; i+1 < len(fields); i += 2 {
			each(fields[i], fields[i+1])
		}
	}
	return a, nil
}

func texts(value any) []string {
	items, _ := value.([]any)
	var all []string
	for _, item := range items {
		if s, ok := item.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// set changes a user who is there.
func (d *database) set(ctx context.Context, doing, username, rule string) error {
	if _, err := d.account(ctx, doing, username); err != nil {
		return err
	}
	return d.change(ctx, doing, "ACL", "SETUSER", username, rule)
}

// Lock implements driver.Gatekeeper.
func (d *database) Lock(ctx context.Context, username string) error {
	return d.set(ctx, "switching the user off", username, "off")
}

// Unlock implements driver.Gatekeeper.
func (d *database) Unlock(ctx context.Context, username string) error {
	return d.set(ctx, "switching the user on", username, "on")
}

// EndSessions implements driver.Gatekeeper.
func (d *database) EndSessions(ctx context.Context, username string) error {
	const doing = "ending the sessions"
	if _, err := d.account(ctx, doing, username); err != nil { // the server refuses the name of nobody
		if errs.Is(err, errs.NotExist) {
			return nil
		}
		return err
	}
	return d.fail(doing, d.client.Do(ctx, "CLIENT", "KILL", "USER", username).Err())
}

// AddPassword implements driver.Passwords.
func (d *database) AddPassword(ctx context.Context, username string, password redact.Secret) error {
	const doing = "adding a password"
	a, err := d.account(ctx, doing, username)
	if err != nil {
		return err
	}
	if slices.Contains(a.flags, "nopass") { // a password would end that
		return errs.Newf(errs.Invalid, "%s: the user logs in with any password (nopass), which none of its clients could any more: give it one first", doing)
	}
	return d.change(ctx, doing, "ACL", "SETUSER", username, hashed(password))
}

// RemovePassword implements driver.Passwords.
func (d *database) RemovePassword(ctx context.Context, username string, password redact.Secret) error {
	const doing = "removing a password"
	a, err := d.account(ctx, doing, username)
	if err != nil {
		return err
	}
	sum := strings.TrimPrefix(hashed(password), "#")
	if !slices.Contains(a.passwords, sum) {
		return nil
	}
	return d.change(ctx, doing, "ACL", "SETUSER", username, "!"+sum)
}

// Sessions implements driver.Witness.
func (d *database) Sessions(ctx context.Context, username string) ([]driver.Session, string, error) {
	list, err := d.client.Do(ctx, "CLIENT", "LIST").Text()
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
		return nil, "sessions are not shown to the vault's user: allow it client|list", nil
	}
	if err != nil {
		return nil, "", d.fail("looking for sessions", err)
	}
	all := parseClients(list, username, time.Now())
	if len(all) > driver.MaxSessions {
		return all[:driver.MaxSessions], fmt.Sprintf("there are more than %d sessions", driver.MaxSessions), nil
	}
	return all, "", nil
}

// parseClients reads the answer of CLIENT LIST, a client on each line:
//
//	id=3 addr=127.0.0.1:52555 laddr=127.0.0.1:6379 name=worker age=5 … user=app …
//
// A user's name is quoted by nobody, but holds no blanks, as no ACL rule can.
func parseClients(list, username string, now time.Time) []driver.Session {
	var all []driver.Session
	for line := range strings.Lines(list) {
		fields := map[string]string{}
		for _, word := range strings.Fields(line) {
			name, value, _ := strings.Cut(word, "=")
			fields[name] = value
		}
		if fields["user"] != username {
			continue
		}
		s := driver.Session{Address: fields["addr"], Client: fields["name"]}
		if host, _, err := net.SplitHostPort(s.Address); err == nil {
			s.Address = host
		}
		if age, err := strconv.ParseInt(fields["age"], 10, 64); err == nil && age >= 0 && age < math.MaxInt32 {
			s.Since = now.Add(-time.Duration(age) * time.Second).UTC().Truncate(time.Second)
		}
		all = append(all, s)
	}
	return all
}
