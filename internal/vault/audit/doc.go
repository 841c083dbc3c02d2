// Package audit writes down what was asked of the vault and what it answered,
// before the asker learns of it: a request that could not be audited did not
// happen.
//
// An Entry becomes one line of JSON in the shape of Vault's audit log. Values
// that may be secret are replaced by a keyed hash, so that whoever holds a
// value can find its lines (Broker.Hash), and whoever holds the lines learns no
// value. A Broker holds the devices; each has a queue and one goroutine that
// writes everything queued with one write and makes it durable with one sync,
// for all who wait (group commit).
//
// A device that cannot be written refuses requests (errs.Unavailable) and is
// tried again by every later request; nothing has to be restarted.
//
// Start reading at Broker, then Ticket, then Entry.
package audit
