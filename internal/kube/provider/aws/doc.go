// Package aws is the provider for AWS Secrets Manager and the Parameter Store of
// AWS Systems Manager. What both have in common is in wire (HTTP, errors, reads
// that are put together), access (whose credentials, roles, one login) and push.
//
// Start reading at Provider.
package aws
