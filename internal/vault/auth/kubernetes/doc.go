// Package kubernetes is the auth method of pods: a ServiceAccount's token buys a
// vault token, within what a role allows (facts §2.6).
//
// Every login is checked by the cluster's own TokenReview API, so that a token
// whose pod or ServiceAccount was deleted is refused at once; nothing is cached
// but the connection. The package speaks that API itself: the vault imports
// nothing of Kubernetes.
//
// Who is told what, when a login is refused:
//   - before the API server has confirmed the token, only what is wrong with the
//     token as it was sent: malformed, expired, another audience;
//   - after it, the caller's own name and namespace, and the role it asked for;
//   - what the role is bound to, and what the API server said, are in the
//     server's log only.
//
// Start reading at Engine.login.
package kubernetes
