// Package pages gives memory back that a program holds of its own file.
//
// Start reading at Release.
package pages
