// Package html writes a report as one file that opens in a browser without a
// network, without scripts, and prints.
//
// Start reading at Write.
package html
