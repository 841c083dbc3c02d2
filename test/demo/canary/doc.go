// Package canary looks for secret values where none may be: in logs, audit
// lines, events, status, metrics.
//
// A value may be hidden from a plain search by an encoding, so each is looked
// for in all that are common. Start reading at [Set.Add].
package canary
