// Package slim is what is kept of objects in the operator's caches: without what it
// never looks at, and with one copy of words that thousands of objects have in common.
//
// Start reading at Cache.
package slim
