// Package shop is the last act of the demo: an application that queries a
// database without pause while its credential is rotated.
//
// Start reading at Open.
package shop
