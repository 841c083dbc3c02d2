// Package webhook is the provider for whatever answers HTTP requests: a store's
// templates say how to ask, and a JSONPath what of the answer is the secret. How it
// goes out is the package internal/kube/webhookcall.
//
// Start reading at Provider.Open.
package webhook
