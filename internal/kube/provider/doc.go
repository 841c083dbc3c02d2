// Package provider is the contract between the operator and external stores.
//
// A Provider opens a Store from the settings a SecretStore carries; a Store
// reads. What else a store can do is a small extra interface (Notifier) that
// callers ask for with a type assertion. Adding a provider is one folder beside
// this file that passes providertest.Run, and one line in the registry.
//
// Whose credentials a store may use is a Scope. A Scope is made from the store
// object itself and from nothing else, and only a Scope makes a Ref, the sole
// way to a Secret, ConfigMap or ServiceAccount: a provider cannot read from
// another namespace by passing the wrong string.
//
// Failures carry a kind of internal/errs: NotExist when the store has no such
// secret, Denied and Unauthenticated, Exhausted when it throttles, Unavailable
// when it is down or sealed, Invalid when the settings or the request can never
// be right, Unsupported when the provider lacks the feature.
//
// Start reading at Provider.
package provider
