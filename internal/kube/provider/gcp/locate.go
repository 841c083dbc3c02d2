package gcp

import (
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/secretmanager"
)

var _ provider.Locator = (*store)(nil)

// Locate names a secret by its full name, without "projects/...":
//
//	secretmanager.googleapis.com/projects/PROJECT[/locations/LOCATION]/secrets/PATH
//
// It is "" where only the node's metadata server tells the project. That a project's
// number and its id are one is not known here.
func (s *store) Locate(path string) string {
	if s.project == "" {
		return ""
	}
	at := "secretmanager.googleapis.com/projects/" + s.project
	if s.location != "" {
		at += "/locations/" + s.location
	}
	return at + "/secrets/" + path
}

// LocateKey implements provider.Locator.
func (s *store) LocateKey(key string) string {
	if !secretmanager.ValidID(key) {
		return ""
	}
	return s.Locate(key)
}
