// Package approle is the auth method of machines: a role ID, which names the
// role, and a secret ID, which proves it, buy a token.
//
// Stored within the mount (names are sealed by the store, values too):
//
//	salt                       32 random bytes; key of all the hashes below
//	role/<name>                role, JSON
//	id/<hash of role ID>       name of the role
//	secret/<set>/<hash>        secretID, JSON; <set> is the role's own, new when the role is made anew
//	accessor/<set>/<accessor>  hash of the secret ID
//	due/<hour>/<hash>          set: secret IDs that end within that hour
//	gone/<set>                 a mark: all secret IDs of this set are to be deleted
//
// A secret ID is known by its hash alone. One that has no limited number of
// uses costs a login no write but the token itself.
//
// Start reading at Engine.login.
package approle
