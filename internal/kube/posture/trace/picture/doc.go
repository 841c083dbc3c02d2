// Package picture draws what trace tells of credentials as one page for browsers: an
// SVG in HTML, that needs no script and nothing from a network.
//
// Start reading at Write.
package picture
