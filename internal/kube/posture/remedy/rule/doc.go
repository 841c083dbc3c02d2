// Package rule names, in the rules of a Role, the Secrets that they are about.
//
// Start reading at Narrowed.
package rule
