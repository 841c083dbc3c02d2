// Package rewrite changes the keys of what one dataFrom entry gathered, as its
// rewrite says: by regular expressions, by templates, or by merging values into
// one another. Its functions are pure.
//
// What runs here was written by whoever may write an ExternalSecret: expressions
// are those of package regexp, whose time is linear, and are bounded in size,
// and so is what comes out after every step. Errors name keys and never values.
//
// Start reading at Apply.
package rewrite
