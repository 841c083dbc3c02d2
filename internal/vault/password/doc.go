// Package password makes passwords by rules: how long, of which characters, and
// how many of each sort at least.
//
// Start reading at Policy, then Policy.Generate; Parse reads one, a Book keeps them.
package password
