package mysql

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

var (
	_ driver.Gatekeeper = (*database)(nil)
	_ driver.Witness    = (*database)(nil)
	_ driver.Ranker     = (*database)(nil)
)

// Lock implements driver.Gatekeeper, for every host that the user is known from.
func (d *database) Lock(ctx context.Context, username string) error {
	return d.account(ctx, username, "locking the user", "LOCK")
}

// Unlock implements driver.Gatekeeper.
func (d *database) Unlock(ctx context.Context, username string) error {
	return d.account(ctx, username, "unlocking the user", "UNLOCK")
}

func (d *database) account(ctx context.Context, username, doing, what string) error {
	hosts, err := d.hosts(ctx, username)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return errs.Newf(errs.NotExist, "%s: there is no such user", doing)
	}
	return d.each(ctx, "account", "ALTER USER '{{name}}'@'{{host}}' ACCOUNT "+what, &driver.Account{Username: username}, hosts)
}

// EndSessions implements driver.Gatekeeper. Sessions that we do not see we do not
// end, and must not say so.
func (d *database) EndSessions(ctx context.Context, username string) error {
	sees, err := d.seesAll(ctx)
	if err != nil {
		return err
	}
	if !sees {
		return errs.New(errs.Invalid, "ending the sessions: "+lacksProcess)
	}
	refused, err := d.kill(ctx, username)
	if err == nil {
		err = refused
	}
	return err
}

// ownProcess is 1 if the server shows us the sessions of others. What we may do by a
// role is not asked for.
const ownProcess = `SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' AND GRANTEE =
	CONCAT("'", LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1), "'@'", SUBSTRING_INDEX(CURRENT_USER(), '@', -1), "'")`

const lacksProcess = "the server shows sessions of others only to who has PROCESS, which the vault's user lacks: GRANT PROCESS ON *.* to it"

func (d *database) seesAll(ctx context.Context) (bool, error) {
	count, err := d.query(ctx, "looking for what we may see", ownProcess)
	return len(count) == 1 && count[0] != "0", err
}

// Sessions implements driver.Witness. The server does not say since when they are,
// nor what the clients call themselves.
func (d *database) Sessions(ctx context.Context, username string) (all []driver.Session, partial string, err error) {
	const doing = "looking for sessions"
	hosts, err := d.query(ctx, doing, fmt.Sprintf("SELECT HOST FROM information_schema.PROCESSLIST WHERE USER = ? LIMIT %d", driver.MaxSessions+1), username)
	if err != nil {
		return nil, "", err
	}
	for _, host := range hosts {
		all = append(all, driver.Session{Address: address(host)})
	}
	if len(all) > driver.MaxSessions {
		return all[:driver.MaxSessions], fmt.Sprintf("there are more than %d sessions", driver.MaxSessions), nil
	}
	sees, err := d.seesAll(ctx)
	if err != nil {
		return nil, "", err
	}
	if !sees {
		partial = lacksProcess
	}
	return all, partial, nil
}

// address is HOST without its port: "10.0.0.7:4711", "localhost".
func address(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	if at := strings.LastIndexByte(host, ':'); at > 0 && strings.Count(host, ":") > 1 { // IPv6 without brackets
		return host[:at]
	}
	return host
}

// Rules implements driver.Ranker: of who has SUPER, or may give others the right to
// make users. Those of other users are shown to who may read the schema mysql.
func (d *database) Rules(ctx context.Context, username string) (bool, error) {
	const doing = "looking for what the user may do"
	hosts, err := d.hosts(ctx, username)
	if err != nil {
		return false, err
	}
	if len(hosts) == 0 {
		return false, errs.Newf(errs.NotExist, "%s: there is no such user", doing)
	}
	count, err := d.query(ctx, doing, `SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES
		WHERE BINARY LEFT(GRANTEE, CHAR_LENGTH(?) + 3) = BINARY CONCAT("'", ?, "'@")
		AND (PRIVILEGE_TYPE = 'SUPER' OR PRIVILEGE_TYPE = 'CREATE USER' AND IS_GRANTABLE = 'YES')`, username, username)
	return len(count) == 1 && count[0] != "0", err
}
