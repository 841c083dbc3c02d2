// Package least says which rights of a role were used, as an audit log shows, and
// what the smallest role is that covers them. It never adds a right: what the new
// role allows, the old one did.
//
// Start reading at Of.
package least
