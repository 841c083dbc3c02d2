// Package application asks applications which version of a credential they use.
//
// A pod whose annotations name a path is asked at its own address:
//
//	GET http://POD-IP:PORT/PATH?rotation=NAMESPACE/NAME&nonce=BASE64URL
//	{"version": "7"}                       the version it uses, or
//	{"key": "password", "digest": "…"}     base64 of HMAC-SHA256(nonce, value in use)
//
// The digest is the stronger answer: nobody can give it without the value. The
// operator compares it with the same of what the Secret holds, read live.
// A pod without a path may say so itself by evidence.AnnotationVersion.
//
// What pods name in annotations is not trusted: only the pod's own address is
// ever asked, no redirect followed, no proxy used, no credential sent, no more
// than 4 KiB read, and nothing of an answer shown to anybody.
//
// Start reading at Prober.Ask.
package application
