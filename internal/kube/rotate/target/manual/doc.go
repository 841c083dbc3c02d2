// Package manual rotates a key that only a person can make, such as that of a
// payment provider: Strongkeep asks for it, publishes it, sees to it that
// consumers use it, and asks for the old one to be revoked.
//
// Start reading at Kind.
package manual
