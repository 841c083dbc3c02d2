// Package wrapping keeps an answer for whoever holds a token of one use, instead
// of giving it to whoever asked: response wrapping.
//
// The answer lies in the cubbyhole of its wrapping token, where clients that are
// older than sys/wrapping/unwrap look for it. It is written in the transaction
// of the request that it answers, together with the token, and read in the one
// that revokes the token: it is given once, or not at all.
//
// Start reading at Wrapper.Wrap, then routes.go for sys/wrapping.
package wrapping
