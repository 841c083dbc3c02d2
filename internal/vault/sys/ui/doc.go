// Package ui serves what web interfaces ask of the vault about their user: what
// policy grants it, and which namespaces it may know of.
//
// Start reading at Routes.
package ui
