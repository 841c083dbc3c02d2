// Package evidence is the engine that keeps signed statements: what happened, who
// said so and when, in chains that nobody can change, the vault's own root
// included. Rotations are recorded in it.
//
// A statement goes in by one route and comes out by another; there is none that
// changes or removes. The key is made when the engine is mounted and never leaves
// it; only unmounting ends both.
//
// What it keeps, by key below its mount, each as one JSON object:
//
//	state             number of the key in use, key of accessor digests    see state
//	key/N             seed of Ed25519 key N, when it was made              see signer
//	head/NAME         number, turn and digest of the last statement        see head
//	entry/NAME/TURN   the envelope, as package attest has it
//
// Start reading at Engine.Routes, then append.
package evidence
