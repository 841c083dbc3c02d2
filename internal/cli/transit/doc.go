// Package transit is the transit command: bring keys into a vault, and encrypt,
// decrypt, sign and verify files and pipes without base64 by hand.
//
// Start reading at Command.
package transit
