// Package topics is which changes of stores an ExternalSecret wants to hear of.
//
// Start reading at Of.
package topics
