package file

import (
	"crypto/tls"
	"net/http"
)

// Insecure returns a client that believes any witness.
func Insecure() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}}
}
