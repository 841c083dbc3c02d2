// Package record is what the identity store keeps: entities, their aliases and
// groups, as rows hold them, and what they may not be.
//
// Start reading at Entity, then Group, then Policies.
package record
