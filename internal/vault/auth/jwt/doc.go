// Package jwt is the auth method of those who have a JWT that somebody else
// signed: workloads (Kubernetes without TokenReview, SPIFFE, GitHub, GitLab) log
// in with theirs, people in a browser by OpenID Connect.
//
// Keys come from OIDC discovery, a JWKS address or PEM in the config. They are
// fetched with a deadline and kept: while an issuer is down, the keys it had are
// still believed (keys.go). Nothing is stored for a browser login that is under
// way: all that must be known when it comes back is in the state parameter,
// sealed (oidc.go).
//
//	config        config, JSON; holds the client secret
//	role/<name>   role, JSON
//	state-key     32 random bytes that seal state parameters
//
// Start reading at Engine.login, then role.admit.
package jwt
