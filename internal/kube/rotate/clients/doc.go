// Package clients knows who reads a credential from the vault itself: it asks the
// vault (sys/readers), and judges who of them still has the version that is to go.
//
// Start reading at Memory.Ask, then Judge.
package clients
