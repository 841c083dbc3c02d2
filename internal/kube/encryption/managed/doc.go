// Package managed judges what a cloud says of the encryption of a cluster whose etcd and
// API servers it runs itself: the answer of its API, as its command line writes it in
// JSON. That is the cloud's word on what is written now; that every value is encrypted
// nobody has looked at, and it is never said.
//
// Start reading at Judge.
package managed
