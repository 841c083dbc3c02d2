// Package fault is a decorator for tests: it makes a store fail, wait, answer
// "perhaps", lose its watches or fall silent, when it is told to and not
// otherwise.
//
// Start reading at Rule.
package fault
