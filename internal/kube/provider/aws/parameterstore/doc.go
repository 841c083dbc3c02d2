// Package parameterstore reads, searches and writes the Parameter Store of AWS
// Systems Manager.
//
// Start reading at Store.
package parameterstore
