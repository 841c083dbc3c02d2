// Package rbac compares what we say of RBAC with Kubernetes' own authorizer.
package rbac
