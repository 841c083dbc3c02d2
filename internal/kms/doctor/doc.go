// Package doctor looks at all that a KMS plugin of this machine depends on, and says
// what to do about what is wrong.
//
// Start reading at Check.
package doctor
