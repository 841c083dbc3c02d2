// Package engine is the contract between the gate and everything mounted in
// the vault: secrets engines, auth methods and the system paths.
//
// An engine declares Routes; the gate finds the route, decides by policy,
// audits, opens a transaction confined to the engine's mount and calls the
// route's handler, then commits once. Handlers are functions of their Tx: on a
// conflict they are run again on fresh state, so whatever they do outside the
// Tx must be safe to do twice.
//
// Start reading at Engine, then Route, then Request.
package engine
