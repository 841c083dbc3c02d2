package archive

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/jsonstream"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Schema is the version of the shape of files.
const Schema = "strongkeep.io/snapshot/v1"

// largest bounds what a file unpacks to, in bytes: an endless one ends here.
const largest = 2 << 30

// Write writes s to the file name, which only its owner may read. The file has all
// of it, or is what it was before.
func Write(name string, s *snapshot.Snapshot) error {
	d, err := draft.Open(name)
	if err != nil {
		return errs.Newf(errs.Invalid, "saving the snapshot: %w: name a file in a folder that can be written", err)
	}
	defer d.Discard()
	if err = encode(d, s); err == nil {
		err = d.Replace()
	}
	if err != nil {
		return fmt.Errorf("saving the snapshot to %s: %w", name, err)
	}
	return nil
}

func encode(to io.Writer, s *snapshot.Snapshot) error {
	b := bufio.NewWriterSize(to, 1<<20)
	z := gzip.NewWriter(b)
	if _, err := fmt.Fprintf(z, `{"schema":%q,"snapshot":`, Schema); err != nil {
		return err
	}
	if err := jsonstream.Compact(z, s); err != nil {
		return err
	}
	if _, err := io.WriteString(z, "}\n"); err != nil {
		return err
	}
	return errors.Join(z.Close(), b.Flush())
}

// Read reads the file name. Of a file that is no snapshot, is cut off, or has
// another shape, it returns an error of kind Invalid.
func Read(name string) (*snapshot.Snapshot, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading a snapshot: %w", err)
	}
	defer func() { _ = f.Close() }()
	s, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot %s: %w", name, err)
	}
	return s, nil
}

// Decode reads what Write wrote.
func Decode(from io.Reader) (*snapshot.Snapshot, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(from, 1<<20))
	if err != nil {
		return nil, errs.New(errs.Invalid, "this is no snapshot: make one with -save=FILE")
	}
	bounded := &io.LimitedReader{R: z, N: largest}
	d := json.NewDecoder(bounded)
	schema, err := begin(d)
	if err != nil {
		return nil, errs.New(errs.Invalid, "this is no snapshot: make one with -save=FILE")
	}
	if schema != Schema {
		return nil, errs.Newf(errs.Invalid, "it has the shape %q, and this program reads %q: make it anew with -save=FILE", schema, Schema)
	}
	if err := field(d, "snapshot"); err != nil {
		return nil, errs.New(errs.Invalid, "it has no snapshot behind its schema: make it anew with -save=FILE")
	}
	var s snapshot.Snapshot
	if err := d.Decode(&s); err != nil {
		return nil, errs.New(errs.Invalid, "it was cut off, or changed: make it anew with -save=FILE")
	}
	// The checksum of gzip comes behind the last byte, and is only looked at there.
	if end, err := d.Token(); err != nil || end != json.Delim('}') {
		return nil, errs.New(errs.Invalid, "it was cut off, or changed: make it anew with -save=FILE")
	}
	if _, err := io.Copy(io.Discard, io.MultiReader(d.Buffered(), bounded)); err != nil || bounded.N == 0 {
		return nil, errs.New(errs.Invalid, "it was cut off, or changed: make it anew with -save=FILE")
	}
	if s.Coverage == nil {
		s.Coverage = snapshot.Coverage{}
	}
	return &s, nil
}

// begin reads up to the schema's value.
func begin(d *json.Decoder) (string, error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", errors.New("no object")
	}
	if err := field(d, "schema"); err != nil {
		return "", err
	}
	t, err := d.Token()
	schema, ok := t.(string)
	if err != nil || !ok {
		return "", errors.New("no schema")
	}
	return schema, nil
}

func field(d *json.Decoder, name string) error {
	if t, err := d.Token(); err != nil || t != name {
		return errors.New("no " + name)
	}
	return nil
}
