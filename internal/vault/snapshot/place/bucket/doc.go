// Package bucket makes a place of a bucket of any object store.
//
// A snapshot is large, and a network breaks. What is sent is read again from its file if a
// part fails; what is read goes on where it broke; a connection on which nothing moves for
// two minutes is given up. No more than a part is in memory.
//
// Start reading at Service.
package bucket
