// Package history remembers what the checks found, when, and when it went: a Book,
// kept compressed in one ConfigMap of the operator's namespace. It has names and
// sentences of findings and never a value.
//
// Start reading at Book and Store.
package history
