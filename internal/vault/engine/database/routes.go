package database

import (
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return append(e.configRoutes(), append(dynamicRoutes(e), staticRoutes(e)...)...)
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
