// Package awstest is a server that speaks the wires of AWS Secrets Manager, the
// Parameter Store and STS, for tests. The official SDK talks to it; it checks every
// signature and the life of session tokens.
//
// Start reading at Server.
package awstest
