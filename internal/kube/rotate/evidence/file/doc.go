// Package file asks the witnesses of nodes whether the files that pods have
// mounted are those of the version that is wanted.
//
// Each node is asked once, with a random key of its own; what it answers is
// compared with the HMACs, under that key, of what the Secrets hold, read live.
// A witness is found by its pod and known by the pin on it (package witness); it
// is shown a token that is good for that witness alone.
//
// Start reading at Prober.Ask.
package file
