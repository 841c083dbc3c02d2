// Package pattern is the paths of policy rules: what they match, which of two
// that match goes first (§2.3 of the Vault facts), and an index that finds the
// one that decides about a path in time that does not grow with their number.
//
// Start reading at Pattern, then (*Index).Match.
package pattern
