package witness

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits of a question.
const (
	KeySize  = 32
	MaxFiles = 1000
	maxBody  = 1 << 20
	// MaxFile is the size in bytes of the largest file that is read: that of a Secret.
	MaxFile = 1 << 20
)

const (
	// Path is where digests are asked for.
	Path = "/v1/digests"
	// AnnotationPin is on the witness's pod: "sha256:" and the digest, in hex, of its
	// certificate's SubjectPublicKeyInfo.
	AnnotationPin = v1alpha1.Group + "/witness-pin"
	// audience is the audience of tokens for the witness of a node.
	audience = "strongkeep-witness:"
)

// Audience returns the audience that a token for the witness of node must have.
func Audience(node string) string { return audience + node }

// Question is the body of a request.
type Question struct {
	Key   []byte `json:"key"`
	Files []File `json:"files"`
}

// File names a file in a volume of a pod.
type File struct {
	Pod    string `json:"pod"` // its UID
	Volume string `json:"volume"`
	Path   string `json:"path"` // below the volume
}

// Answer is the body of an answer.
type Answer struct {
	Files []Said `json:"files"`
}

// Said is what there is to say of one file: one of the two is empty.
type Said struct {
	Digest []byte `json:"digest,omitempty"` // HMAC-SHA256(key, content)
	Reason string `json:"reason,omitempty"`
}

// parse reads a question. Kinds: Invalid, TooLarge. No text of the question is
// in an error.
func parse(r io.Reader) (Question, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	switch {
	case err != nil:
		return Question{}, errs.New(errs.Invalid, "the body ended early")
	case len(raw) > maxBody:
		return Question{}, errs.Newf(errs.TooLarge, "the body has more than %d bytes", maxBody)
	}
	var q Question
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil || d.More() {
		return Question{}, errs.New(errs.Invalid, `the body must be {"key": "…", "files": [{"pod": "…", "volume": "…", "path": "…"}]}`)
	}
	switch {
	case len(q.Key) != KeySize:
		return Question{}, errs.Newf(errs.Invalid, "the key has %d bytes, not %d", len(q.Key), KeySize)
	case len(q.Files) == 0 || len(q.Files) > MaxFiles:
		return Question{}, errs.Newf(errs.Invalid, "the question names %d files; it may name 1 to %d", len(q.Files), MaxFiles)
	}
	return q, nil
}
