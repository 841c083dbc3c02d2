// Package keystoretest is the suite that every key store passes.
//
// Start reading at Run and Turning.
package keystoretest
