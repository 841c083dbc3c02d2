// Package key is the keys of a transit engine: their types, versions, rules
// and key material, how they are made, brought in, taken out and stored.
//
// A Key is immutable once stored: others share it by store.Decode. Whoever
// changes one works on what Clone, Rotate or Import returned.
//
// Start reading at Key, then Version, then Type.
package key
