// Package webhook rotates what an endpoint of the user's own makes: each act is
// POSTed to it, signed. docs/rotation/webhook.md has the wire.
//
// Start reading at Kind, then hook.post.
package webhook
