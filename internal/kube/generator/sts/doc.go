// Package sts asks AWS for temporary credentials.
//
// Start reading at Kind.Generate.
package sts
