// Package turning measures how long it takes to find out who uses a credential,
// what each has shown, and what a rotation does next, where very many use it.
//
// Start reading at Measure.
package turning
