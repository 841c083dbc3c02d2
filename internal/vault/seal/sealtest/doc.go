// Package sealtest is the suite that every seal.Wrapper passes.
//
// Start reading at Wrapper.
package sealtest
