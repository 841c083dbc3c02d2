package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Checkpoint is a signed statement of how long the log is and what it says.
type Checkpoint struct {
	Origin string // "strongkeep-audit/file"
	Size   int64
	Root   tlog.Hash
	Time   time.Time
	Key    string // that signed it, as note.NewVerifier takes it
	Note   string // the signed text with its signature
	Closed bool   // the log was closed in good order: until it is opened again nothing follows
	// Short holds ShortSize bytes of the hash of each line since the
	// checkpoint before; nil in one that stands alone.
	Short  []byte
	Listed bool // Short is there
	// Tree is the log at this point, if Full.
	Tree Tree
	Full bool

	sum [sha256.Size]byte // of Short, as signed
}

// From returns the size of the log at the checkpoint before.
func (c *Checkpoint) From() int64 { return c.Size - int64(len(c.Short)/ShortSize) }

// record is a checkpoint line.
type record struct {
	Time       string `json:"time"`
	Type       string `json:"type"`
	Checkpoint body   `json:"checkpoint"`
}

type body struct {
	Note  string `json:"note"`
	Lines []byte `json:"lines,omitempty"` // base64 in JSON
	Edge  []byte `json:"edge,omitempty"`
	Key   string `json:"key"`
}

// marker stands in every checkpoint line, behind the time, and in no line that
// a request causes: what such a line says of its type comes before all that
// clients write.
const marker = `","type":"checkpoint","checkpoint":{"note":`

// maxLead is how far into a line the marker may begin: prefix and time.
const maxLead = 128 + len(`{"time":"2006-01-02T15:04:05.999999999Z`) + 8

// IsCheckpoint reports whether line has the form of a checkpoint line. It says
// nothing of who made it.
func IsCheckpoint(line []byte) bool {
	head := line[:min(len(line), maxLead+len(marker))]
	i := bytes.Index(head, []byte(marker))
	if i < 0 {
		return false
	}
	open := bytes.IndexByte(head, '{')
	return open >= 0 && bytes.HasPrefix(head[open:], []byte(`{"time":"`)) && open < i
}

// appendLine appends c's line.
func (c *Checkpoint) appendLine(dst []byte, prefix string) ([]byte, error) {
	r := record{Time: c.Time.UTC().Format(time.RFC3339Nano), Type: "checkpoint", Checkpoint: body{
		Note: c.Note, Lines: c.Short, Edge: c.Tree.appendEdge(nil), Key: c.Key,
	}}
	line, err := json.Marshal(r)
	if err != nil {
		return dst, errs.Newf(errs.Internal, "encoding a checkpoint: %w", err)
	}
	dst = append(dst, prefix...)
	dst = append(dst, line...)
	return append(dst, '\n'), nil
}

// published is a line that tells of another device's checkpoint. For the log
// it stands in it is a line like any other.
type published struct {
	Time      string `json:"time"`
	Type      string `json:"type"`
	Published struct {
		Note string `json:"note"`
		Key  string `json:"key"`
	} `json:"published"`
}

// publishedLine returns c as a line for other devices.
func (c *Checkpoint) publishedLine() ([]byte, error) {
	p := published{Time: c.Time.UTC().Format(time.RFC3339Nano), Type: "published"}
	p.Published.Note, p.Published.Key = c.Note, c.Key
	line, err := json.Marshal(p)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a checkpoint: %w", err)
	}
	return append(line, '\n'), nil
}

// Published returns the note in a line that tells of another device's
// checkpoint, "" if it is no such line.
func Published(line []byte) string {
	open := bytes.IndexByte(line, '{')
	if open < 0 || !bytes.Contains(line, []byte(`"type":"published"`)) {
		return ""
	}
	var p published
	if json.Unmarshal(line[open:], &p) != nil || p.Type != "published" {
		return ""
	}
	return p.Published.Note
}

// sign fills in Note, Key and Origin for the tree and the lines since.
func (c *Checkpoint) sign(s *signer) error {
	c.Origin, c.Key, c.sum = s.Name(), s.public, sha256.Sum256(c.Short)
	var b strings.Builder
	b.WriteString(c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n")
	b.WriteString("lines " + base64.StdEncoding.EncodeToString(c.sum[:]) + "\n")
	b.WriteString("time " + c.Time.UTC().Format(time.RFC3339Nano) + "\n")
	if c.Closed {
		b.WriteString("closed\n")
	}
	signed, err := note.Sign(&note.Note{Text: b.String()}, s)
	if err != nil {
		return errs.Newf(errs.Internal, "signing a checkpoint: %w", err)
	}
	c.Note = string(signed)
	return nil
}

// Keys are public keys that checkpoints may be signed by, as note has them.
type Keys []string

// verifiers implements note.Verifiers.
func (k Keys) verifiers() (note.Verifiers, error) {
	all := make([]note.Verifier, len(k))
	for i, text := range k {
		v, err := note.NewVerifier(strings.TrimSpace(text))
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "a checkpoint's public key looks like strongkeep-audit/NAME+HASH+KEY (strongkeep audit key prints it): %w", err)
		}
		all[i] = v
	}
	return note.VerifierList(all...), nil
}

// ErrUnknownKey says that no given key signed a checkpoint.
var ErrUnknownKey = errs.New(errs.Unauthenticated, "none of the given keys signed it")

// ParseLine reads a checkpoint line and checks its signature and that all its
// parts belong together. ErrUnknownKey is in the chain of an error that another
// key would mend.
func ParseLine(line []byte, keys Keys) (*Checkpoint, error) {
	open := bytes.IndexByte(line, '{')
	var r record
	if open < 0 || json.Unmarshal(line[open:], &r) != nil || r.Type != "checkpoint" {
		return nil, errs.New(errs.Invalid, "it is no checkpoint line")
	}
	c, err := ParseNote([]byte(r.Checkpoint.Note), keys)
	if err != nil {
		return nil, err
	}
	return c, c.complete(&r.Checkpoint)
}

// complete takes what stands beside the note of a checkpoint and checks that it
// belongs to it.
func (c *Checkpoint) complete(b *body) (err error) {
	c.Short = b.Lines
	c.Listed = sha256.Sum256(c.Short) == c.sum
	if !c.Listed && len(c.Short) > 0 {
		return errs.New(errs.Invalid, "its list of lines is not the one that was signed")
	}
	if len(c.Short)%ShortSize != 0 || c.From() < 0 {
		return errs.New(errs.Invalid, "its list of lines does not fit its size")
	}
	if c.Size > 0 && len(b.Edge) == 0 {
		return nil
	}
	if c.Tree, err = treeOf(c.Size, b.Edge); err != nil {
		return err
	}
	if c.Tree.Root() != c.Root {
		return errs.New(errs.Invalid, "its edge is not that of the tree that was signed")
	}
	c.Full = true
	return nil
}

// maxNote bounds a note in bytes.
const maxNote = 4096

// ParseNote reads a signed note, as sys/audit/NAME/checkpoint shows it.
func ParseNote(text []byte, keys Keys) (*Checkpoint, error) {
	if len(text) > maxNote {
		return nil, errs.New(errs.Invalid, "a checkpoint's note is short, this is not one")
	}
	known, err := keys.verifiers()
	if err != nil {
		return nil, err
	}
	n, err := note.Open(text, known)
	var unverified *note.UnverifiedNoteError
	switch {
	case asUnverified(err, &unverified):
		return nil, errs.As(errs.Unauthenticated, ErrUnknownKey)
	case err != nil:
		return nil, errs.Newf(errs.Invalid, "its signature does not hold: %w", err)
	}
	c, err := parseText(n.Text)
	if err != nil {
		return nil, err
	}
	if n.Sigs[0].Name != c.Origin {
		return nil, errs.New(errs.Invalid, "it is signed by the key of another log")
	}
	for _, k := range keys {
		if strings.HasPrefix(strings.TrimSpace(k), c.Origin+"+"+hash8(n.Sigs[0].Hash)+"+") {
			c.Key = strings.TrimSpace(k)
		}
	}
	c.Note = string(text)
	return c, nil
}

func parseText(text string) (*Checkpoint, error) {
	bad := errs.New(errs.Invalid, "its text is not that of a checkpoint")
	l := strings.Split(text, "\n")
	if len(l) < 6 || !strings.HasPrefix(l[0], originPrefix) || !strings.HasPrefix(l[3], "lines ") || !strings.HasPrefix(l[4], "time ") {
		return nil, bad
	}
	c := &Checkpoint{Origin: l[0]}
	var err error
	if c.Size, err = strconv.ParseInt(l[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != l[1] {
		return nil, bad
	}
	if c.Root, err = tlog.ParseHash(l[2]); err != nil {
		return nil, bad
	}
	sum, err := base64.StdEncoding.DecodeString(l[3][len("lines "):])
	if err != nil || len(sum) != sha256.Size {
		return nil, bad
	}
	c.sum = [sha256.Size]byte(sum)
	if c.Time, err = time.Parse(time.RFC3339Nano, l[4][len("time "):]); err != nil {
		return nil, bad
	}
	c.Closed = l[5] == "closed"
	return c, nil
}

// KeyIn returns the public key that a checkpoint line says it is signed by, ""
// if it says none. Nothing of it is proven.
func KeyIn(line []byte) string {
	open := bytes.IndexByte(line, '{')
	var r record
	if open < 0 || json.Unmarshal(line[open:], &r) != nil {
		return ""
	}
	return r.Checkpoint.Key
}

// Check says what is wrong with a key. Kind Invalid.
func (k Keys) Check() error {
	_, err := k.verifiers()
	return err
}
