package provider

import (
	"context"
	"encoding/json"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Writer is a Store that can be written to, for PushSecret.
type Writer interface {
	// Write stores one value. A secret that exists and that no operator wrote is
	// Conflict and stays as it is. What is there already costs no new version.
	Write(ctx context.Context, w Write) error
	// Delete removes what Write stored. What is not there, or was not written by
	// an operator, is no error and stays.
	Delete(ctx context.Context, at Place) error
	// Exists reports whether there is a value at a place, whoever wrote it.
	Exists(ctx context.Context, at Place) (bool, error)
}

// Place is where a Writer puts a value.
type Place struct {
	Key      string
	Property string // a key of the secret's JSON object; the whole secret when empty
	For      string // as in Request
}

// Write is one value to be stored.
type Write struct {
	Place
	Value    redact.Secret
	Source   Source
	Metadata json.RawMessage // of the PushSecret, as the store understands it; nil: none
	// Document is the text of what Metadata names beside the PushSecret, such as a policy;
	// empty: it names nothing.
	Document redact.Secret
}

// Source is the Secret that a value comes from, for stores that keep more than values.
type Source struct {
	Key  string // of the Secret; the whole of it, or some of its keys, when empty
	Type string // of the Secret, such as kubernetes.io/tls
	// Labels and Annotations are those of the PushSecret's template.
	Labels, Annotations map[string]string
}
