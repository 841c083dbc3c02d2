// Package generatortest is what every kind of generator must pass.
//
// Start reading at Run.
package generatortest
