// Package access decides what RBAC allows, exactly as Kubernetes does, and says
// by which binding, role and rule. It knows RBAC objects and nothing of secrets:
// what rights lead to by detours is package path.
//
// The semantics are those of Kubernetes' RBAC authorizer
// (plugin/pkg/auth/authorizer/rbac and pkg/apis/rbac/v1/evaluation_helpers.go of
// v1.36), which a test compares with on random policies and requests. What stands
// in front of RBAC is not here: members of system:masters are allowed everything,
// nodes have an authorizer of their own, and webhooks may allow or deny more.
//
// Start reading at Policy.
package access
