// Package secretsmanager reads, searches and writes AWS Secrets Manager.
//
// Start reading at Store.
package secretsmanager
