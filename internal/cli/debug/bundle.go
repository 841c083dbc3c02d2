package debug

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"os"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// bundle is the archive that is being written:
//
//	DIR/index.json                    what was collected when, and what was not and why
//	DIR/000/TARGET/NAME               the first round
//	DIR/001/TARGET/NAME               the second, and so on
//	DIR/log.txt                       the log of the whole time
type bundle struct {
	file  *os.File
	gz    *gzip.Writer
	tar   *tar.Writer
	dir   string
	scrub scrubber
	index index
}

// index is index.json.
type index struct {
	Version  string    `json:"version"`
	Address  string    `json:"address"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Interval string    `json:"interval"`
	Targets  []string  `json:"targets"`
	Files    []entry   `json:"files"`
	Missing  []missing `json:"missing"`
}

type entry struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

type missing struct {
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// create makes the file, which must not be there yet; nobody else may read it.
func create(path, dir string, s scrubber) (*bundle, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "creating the archive: %w", err)
	}
	gz := gzip.NewWriter(file)
	return &bundle{file: file, gz: gz, tar: tar.NewWriter(gz), dir: dir, scrub: s}, nil
}

// add writes one file, or notes why there is none.
func (b *bundle) add(name string, content []byte, problem error) error {
	now := time.Now().UTC()
	if problem != nil {
		b.index.Missing = append(b.index.Missing, missing{name, now, string(b.scrub.clean([]byte(problem.Error())))})
		return nil
	}
	b.index.Files = append(b.index.Files, entry{name, now})
	return b.write(name, b.scrub.clean(content))
}

func (b *bundle) write(name string, content []byte) error {
	header := &tar.Header{Name: b.dir + "/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: time.Now(), Format: tar.FormatPAX}
	err := b.tar.WriteHeader(header)
	if err == nil {
		_, err = b.tar.Write(content)
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "writing the archive: %w", err)
	}
	return nil
}

// close writes the index and ends the archive.
func (b *bundle) close() error {
	b.index.Ended = time.Now().UTC()
	content, err := indent(b.index)
	if err == nil {
		err = b.write("index.json", b.scrub.clean(content))
	}
	if err = errors.Join(err, b.tar.Close(), b.gz.Close(), b.file.Sync(), b.file.Close()); err != nil {
		return errs.Newf(errs.Invalid, "ending the archive: %w", err)
	}
	return nil
}
