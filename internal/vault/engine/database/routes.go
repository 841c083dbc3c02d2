package database

import (
	"slices"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/alternating"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return slices.Concat(e.configRoutes(), dynamicRoutes(e), staticRoutes(e), alternatingRoutes(e), actRoutes(e))
}

func (e *Engine) configRoutes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "config", Handlers: handlers{engine.List: list(connection.Prefix)}, ReadOnly: true,
			Summary: "List the connections.", Help: "The names of all configured connections to databases.",
		},
		{
			Pattern: "config/{name}", Exists: exists(connection.Prefix), ReadOnly: true,
			Handlers: handlers{
				engine.Read: e.readConfig, engine.Create: e.writeConfig, engine.Update: e.writeConfig, engine.Delete: e.deleteConfig,
			},
			Fields:  e.configFields(),
			Summary: "A connection to a database.",
			Help:    "Where a database is, and as whom the vault logs in to make and remove users. What a write leaves out stays as it was.",
		},
		{
			Pattern: "reset/{name}", Handlers: handlers{engine.Update: e.reset},
			Summary: "Close a connection.", Help: "Closes what is open to the database; the next request opens it anew.",
		},
		{
			Pattern: "rotate-root/{name}", Handlers: handlers{engine.Update: e.rotateNow(true)},
			Summary: "Change the password the vault logs in with.",
			Help:    "Draws a new password for the connection's own user, sets it, and proves it by a login. Nobody but the vault knows it then.",
		},
	}
}

func dynamicRoutes(e *Engine) []engine.Route {
	return []engine.Route{
		{
			Pattern: "roles", Handlers: handlers{engine.List: list(rolePrefix)}, ReadOnly: true,
			Summary: "List the roles of dynamic users.", Help: "The names of all roles that creds/ takes.",
		},
		{
			Pattern: "roles/{name}", Exists: exists(rolePrefix), ReadOnly: true,
			Handlers: handlers{
				engine.Read: e.readRole, engine.Create: e.writeRole, engine.Update: e.writeRole, engine.Delete: e.deleteRole,
			},
			Fields: []engine.Field{
				{Name: "db_name", Help: "The connection that users are made with."},
				{Name: "creation_statements", Type: engine.Strings, Help: "What makes a user, with {{name}}, {{password}} and {{expiration}}: a string, a list, or either in base64."},
				{Name: "revocation_statements", Type: engine.Strings, Help: "What removes a user.", Default: "what is usual for the database"},
				{Name: "rollback_statements", Type: engine.Strings, Help: "What runs when making a user fails, before it is revoked."},
				{Name: "renew_statements", Type: engine.Strings, Help: "What prolongs a user.", Default: "what is usual for the database"},
				{Name: "default_ttl", Type: engine.Duration, Help: "How long a user is there.", Default: "the mount's"},
				{Name: "max_ttl", Type: engine.Duration, Help: "How long a user can be renewed for.", Default: "the mount's"},
				{Name: "credential_type", Help: "password, the one kind there is.", Default: "password"},
				{Name: "credential_config", Type: engine.Map, Help: "password_policy: the policy of this role's passwords."},
			},
			Summary: "A role of dynamic users.",
			Help:    "How users are made, prolonged and removed, and how long they last.",
		},
		{
			Pattern: "creds/{name}", Handlers: handlers{engine.Read: e.creds},
			Summary: "Make a user for a role.",
			Help:    "Makes a user of the database that lasts as long as the lease of the answer.",
		},
	}
}

func staticRoutes(e *Engine) []engine.Route {
	return []engine.Route{
		{
			Pattern: "static-roles", Handlers: handlers{engine.List: list(staticPrefix)}, ReadOnly: true,
			Summary: "List the static roles.", Help: "The names of all roles that static-creds/ takes.",
		},
		{
			Pattern: "static-roles/{name}", Exists: exists(staticPrefix), ReadOnly: true,
			Handlers: handlers{
				engine.Read: e.readStatic, engine.Create: e.writeStatic, engine.Update: e.writeStatic, engine.Delete: e.deleteStatic,
			},
			Fields: append([]engine.Field{
				{Name: "db_name", Help: "The connection of the database that the user is in. It cannot be changed."},
				{Name: "username", Help: "The user, who must be there. It cannot be changed."},
				{Name: "rotation_statements", Type: engine.Strings, Help: "What sets the password.", Default: "what is usual for the database"},
				{Name: "skip_import_rotation", Type: engine.Bool, Help: "Do not change the password at once but when it is due."},
				{Name: "password", Secret: true, Help: "The password the user has now, for skip_import_rotation."},
				{Name: "self_managed_password", Secret: true, Help: "The password the user has now; the user then changes its own passwords, and the connection's user needs no right to."},
				{Name: "verify_login", Type: engine.Bool, Help: "Prove a new password by a login; switch it off for users who may not come in from the vault's address.", Default: "true"},
				{Name: "credential_type", Help: "password, the one kind there is.", Default: "password"},
				{Name: "credential_config", Type: engine.Map, Help: "password_policy: the policy of this role's passwords."},
			}, rotation.Fields()...),
			Summary: "A user whose password the vault changes.",
			Help:    "A user that stays, and whose password changes by period or schedule. Making the role changes it at once.",
		},
		{
			Pattern: "static-creds/{name}", Handlers: handlers{engine.Read: e.staticCreds}, ReadOnly: true,
			Summary: "The password of a static role.", Help: "The password in force, and for how long it will be.",
		},
		{
			Pattern: "rotate-role/{name}", Handlers: handlers{engine.Update: e.rotateNow(false)},
			Summary: "Change the password of a static role now.", Help: "Changes the password before its time; the next change is counted from now.",
		},
	}
}

func alternatingRoutes(e *Engine) []engine.Route {
	return []engine.Route{
		{
			Pattern: "alternating-roles", Handlers: handlers{engine.List: list(alternating.Prefix)}, ReadOnly: true,
			Summary: "List the alternating roles.", Help: "The names of all roles that alternating-creds/ takes.",
		},
		{
			Pattern: "alternating-roles/{name}", Exists: exists(alternating.Prefix), ReadOnly: true,
			Handlers: handlers{
				engine.Read: e.readAlternating, engine.Create: e.writeAlternating, engine.Update: e.writeAlternating, engine.Delete: e.deleteAlternating,
			},
			Fields: []engine.Field{
				{Name: "db_name", Help: "The connection of the database that the users are in. It cannot be changed."},
				{Name: "usernames", Type: engine.Strings, Help: "The two users that alternate; without password the first turn takes the first, so name the one that is not in use. Or one, with overlap=passwords."},
				{Name: "overlap", Help: "How old and new exist side by side: users, or passwords of one user, which Redis and Valkey can have.", Default: "users"},
				{Name: "creation_statements", Type: engine.Strings, Help: "What makes a user when it is staged, with {{name}} and {{password}}.", Default: "none, the users are there"},
				{Name: "revocation_statements", Type: engine.Strings, Help: "What removes a user when it is retired, with creation_statements.", Default: "what is usual for the database"},
				{Name: "rotation_statements", Type: engine.Strings, Help: "What sets the password of a user who is there.", Default: "what is usual for the database"},
				{Name: "password", Secret: true, Help: "The password that the first of usernames has now, and is in use: readers are given it until the first turn. Only when the role is made."},
				{Name: "holder", Help: "Who moves turns, as the first stage noted it; write \"\" to let another one, or to act by hand."},
				{Name: "credential_type", Help: "password, the one kind there is.", Default: "password"},
				{Name: "credential_config", Type: engine.Map, Help: "password_policy: the policy of this role's passwords."},
			},
			Summary: "A credential that turns with overlap.",
			Help:    "Two users that alternate, or one with two passwords: the next one is made, proved and published while the old one works on, and the old one is closed and retired when nobody needs it. Making the role does nothing in the database.",
		},
		{
			Pattern: "alternating-roles/{name}/state", Handlers: handlers{engine.Read: e.alternatingState}, ReadOnly: true,
			Summary: "Where the present turn is.", Help: "The turn, its step and its holder, and which version readers are given. Never a password.",
		},
		{
			Pattern: "alternating-roles/{name}/sessions", Handlers: handlers{engine.Read: e.alternatingSessions}, ReadOnly: true,
			Fields:  []engine.Field{{Name: "turn", Type: engine.Int, Query: true, Help: "The turn, which must be the present one.", Default: "the present one"}},
			Summary: "Who is logged in with the old credential, and who with the new.",
			Help:    "The sessions that the database sees now. partial says what it does not show.",
		},
		{
			Pattern: "alternating-creds/{name}", Handlers: handlers{engine.Read: e.alternatingCreds}, ReadOnly: true,
			Summary: "The credential that is published.", Help: "User name and password, and as version the turn that made them.",
		},
		{
			Pattern: "alternating-staged/{name}", Handlers: handlers{engine.Read: e.alternatingStaged}, ReadOnly: true,
			Fields: []engine.Field{
				{Name: "turn", Type: engine.Int, Query: true, Help: "The turn, which must be the present one."},
				{Name: "holder", Query: true, Help: "Who asks, as namespace/name; another than the role's is refused."},
			},
			Summary: "The credential that is staged, for rehearsals.",
			Help:    "What alternating-creds/ answers once the turn is published. Who turns a role needs no right to it, unless its rehearsals run shadow pods.",
		},
	}
}

// actRoutes are the acts of a turn.
func actRoutes(e *Engine) []engine.Route {
	turn := engine.Field{Name: "turn", Type: engine.Int, Help: "The number of the turn, from 1."}
	side := engine.Field{Name: "side", Help: "new or old, of the turn's two credentials: what publish and retire mean. Others know it themselves."}
	holder := engine.Field{Name: "holder", Help: "Who asks, as namespace/name; another holder than the role's is refused."}
	fence := engine.Field{Name: "fence", Type: engine.Int, Help: "A number that grows from act to act of a turn: one that is lower than the highest seen comes late, from a client that was stopped meanwhile, and is refused.", Default: "none, as long as no act of the turn has come with one"}
	route := func(verb alternating.Verb, summary, help string, more ...engine.Field) engine.Route {
		return engine.Route{
			Pattern: "alternating-roles/{name}/" + string(verb), Handlers: handlers{engine.Update: e.act(verb)},
			Fields: append([]engine.Field{turn, side, holder, fence}, more...), Summary: summary, Help: help,
		}
	}
	return []engine.Route{
		route(alternating.Stage, "Make the turn's new credential.", "Stores a new password, has the database take it, and proves it by a login. Readers are still given the old one."),
		route(alternating.Publish, "Say which credential readers are given.", "The new one, or the old one again."),
		route(alternating.Close, "Keep the old credential from logging in.", "Reversibly, and proved by a login that must fail. Sessions go on. Readers must be given the new one."),
		route(alternating.Reopen, "Let the old credential log in again.", "Undoes close, proved by a login."),
		route(alternating.Retire, "Remove the old credential, or the new one of a turn that goes back.",
			"Takes the login away, ends its sessions, removes the user or its password, and proves by a login that must fail. The turn has ended then.",
			engine.Field{Name: "terminate_sessions", Type: engine.Bool, Help: "End the sessions of the user; those of one that is dropped end by the connection's terminate_sessions too.", Default: "true"}),
	}
}
