// Package externalsecret is what people ask about ExternalSecrets: "render", which
// Secret one would make; "explain", why one is as it is; "sync", refresh it now.
//
// All of it uses the rights of who asks, and shows no value unless render is told
// to.
//
// Start reading at Commands.
package externalsecret
