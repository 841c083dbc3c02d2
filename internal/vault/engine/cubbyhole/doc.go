// Package cubbyhole is the engine that gives every token a store of its own,
// which no other token can reach, root included, and which ends with the token.
//
// It keeps, by key below its mount:
//
//	T        how many entries the token T has      see count
//	T/PATH   one entry                             format byte 1, then the JSON object as it came
//
// where T is Caller.TokenKey. Every change of a token's entries reads T, and so
// does the token's removal: a write cannot slip past it and leave an orphan.
//
// Start reading at Engine.Routes.
package cubbyhole
