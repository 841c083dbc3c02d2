// Package gather reads what an ExternalSecret asks for and makes named values of it.
//
// Start reading at Values.
package gather
