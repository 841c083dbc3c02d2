package database

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// Whose password changes must be one's alone: two who change the password of one
// user lock each other out. So users of static and alternating roles are found by
// their name, at user/CONNECTION/HASH, which holds the name of the role, that of an
// alternating one behind alternatingOwner.

const alternatingOwner = "alternating/"

func userKey(db, username string) string {
	sum := sha256.Sum256([]byte(username))
	return "user/" + db + "/" + hex.EncodeToString(sum[:16])
}

// ownerName names an owner for people.
func ownerName(owner string) string {
	if name, ok := strings.CutPrefix(owner, alternatingOwner); ok {
		return "alternating role " + strconv.Quote(name)
	}
	return "static role " + strconv.Quote(owner)
}

// claim is a user and the role that has it.
type claim struct{ owner, username string }

// claim notes that a role has a user. Kind Invalid: another role has it, or, for
// one that is new to the role, it is who the vault logs in as.
func (e *Engine) claim(ctx context.Context, tx engine.Tx, want claim, c *connection.Connection, fresh bool) error {
	key := userKey(c.Name, want.username)
	held, err := tx.Get(ctx, key)
	if err != nil {
		return err
	}
	if held.Exists() && string(held.Value) != want.owner {
		return errs.Newf(errs.Invalid, "the %s has this user of the connection %q already: two roles would change each other's password; have readers of both use that one", ownerName(string(held.Value)), c.Name)
	}
	if where, err := e.servers.At(c).Where(); fresh && err == nil && where.Username == want.username {
		return errs.Newf(errs.Invalid, "the connection %q logs in as this user itself, and a role that changes its password would lock the vault out: give the vault a user of its own, or change the password by rotate-root/%s", c.Name, c.Name)
	}
	tx.Put(key, []byte(want.owner))
	return nil
}

// guard is an error if a connection must not be changed so.
func (e *Engine) guard(ctx context.Context, tx engine.Tx, was, is *connection.Connection, req *engine.Request) error {
	if err := e.guardPassword(was, is, req); err != nil {
		return err
	}
	return e.guardUser(ctx, tx, is)
}

// guardUser is an error if the vault is to log in as a role's user.
func (e *Engine) guardUser(ctx context.Context, tx engine.Tx, c *connection.Connection) error {
	where, err := e.servers.At(c).Where()
	if err != nil {
		return err
	}
	held, err := tx.Get(ctx, userKey(c.Name, where.Username))
	if err != nil {
		return err
	}
	if held.Exists() {
		return errs.Newf(errs.Invalid, "the %s changes the password of this user, and would lock the vault out: give the vault a user of its own", ownerName(string(held.Value)))
	}
	return nil
}

// guardPassword is an error if the stored password would be sent to another
// server than it was meant for: who may write a connection may not know it, and
// would only have to name a server of their own.
func (e *Engine) guardPassword(was, is *connection.Connection, req *engine.Request) error {
	to, err := e.servers.At(is).Where()
	if err != nil {
		return err
	}
	if was != nil && !e.sameUser(was, to) {
		is.Claims = nil // those are passwords of somebody else
	}
	if d := req.Decode(); was == nil || was.Password == "" && len(was.Others()) == 0 || d.Has("password") {
		return nil
	}
	if from, err := e.servers.At(was).Where(); err == nil && from.Server == to.Server {
		return nil
	}
	return errs.New(errs.Invalid, "this names another server than before, to which the stored password is not sent: give password, too")
}

// sameUser reports whether a connection logs in there, as that user.
func (e *Engine) sameUser(c *connection.Connection, where driver.Where) bool {
	was, err := e.servers.At(c).Where()
	return err == nil && was == where
}
