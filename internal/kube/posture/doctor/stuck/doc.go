// Package stuck says why an ExternalSecret does not sync: no operator looks at it,
// its store is not there or not ready, the store refuses, has no such path, wants
// another login, cannot be reached; its Secret is somebody else's; a window is shut.
//
// What a store has answered is known by the message in a condition alone, whoever
// wrote it: table has what their words mean, a line each.
//
// Start reading at Find.
package stuck
