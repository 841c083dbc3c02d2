// Package writer writes to the KV engines of a vault: what an operator wrote is
// marked, what others wrote stays, and with v2 every write is made on condition that
// nobody else's came between.
//
// Start reading at Writer.Write.
package writer
