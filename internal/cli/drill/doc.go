// Package drill is the "drill" command: people begin drills by it, see what was
// found, and end them. It writes and reads Drills with the rights of who asks;
// the operator does the rest.
//
// Start reading at Command.
package drill
