package check

import "slices"

// What checks need, by the names that Coverage has for it.
var (
	workloads = []string{"deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "pods"}
	accounts  = []string{"serviceaccounts"}
)

// Workloads are what makes pods, and others besides.
func Workloads(others ...string) []string { return append(slices.Clone(others), workloads...) }

// Accounts are ServiceAccounts, and others besides.
func Accounts(others ...string) []string { return append(slices.Clone(others), accounts...) }
