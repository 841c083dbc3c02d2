// Package devices keeps the table of enabled audit devices in the store: one
// sealed entry each, with the key its lines are hashed with.
//
// Start reading at Device, then Add and All.
package devices
