package document

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// largest bounds a document, in bytes; a dump of a cluster is one.
const largest = 256 << 20

// Document is one of a stream, as it stands there.
type Document struct {
	Text []byte
	// Wrong says why it is not whole, and Text is then empty; "" if it is.
	Wrong string
}

// Reader cuts a stream into documents. It is for one goroutine.
type Reader struct {
	from *bufio.Reader
	// held is a line that begins the next document, which was read with the one before.
	held []byte
	// wide says that it is UTF-16, whose lines are not looked for.
	wide bool
}

// NewReader returns a Reader of from, which may be packed by gzip.
func NewReader(from io.Reader) (*Reader, error) {
	plain, err := unpacked(from)
	if err != nil {
		return nil, err
	}
	r := &Reader{from: bufio.NewReaderSize(plain, 64<<10)}
	head, _ := r.from.Peek(2)
	r.wide = bytes.Equal(head, []byte("\xff\xfe")) || bytes.Equal(head, []byte("\xfe\xff"))
	return r, nil
}

// pending is a document that is being read.
type pending struct {
	Document
	directive bool // nothing but lines that say how to read what follows
}

// Next returns the next document that is not blank, and io.EOF behind the last. Of an
// archive that is damaged, or unpacks to far too much, the error is of kind Invalid;
// any other is one of reading.
//
// Documents begin at a line `---`, behind which one may already stand, or end at `...`
// (YAML 1.2.2, 9.1).
func (r *Reader) Next() (Document, error) {
	if r.wide {
		r.wide, r.from = false, bufio.NewReader(bytes.NewReader(nil))
		return Document{Wrong: "it is UTF-16, and manifests are read as UTF-8: convert it"}, nil
	}
	var d pending
	for begins, more := true, true; more; {
		d.line(r.held)
		r.held = nil
		chunk, full, err := r.chunk()
		if err != nil && !errors.Is(err, io.EOF) {
			return Document{}, broken(err)
		}
		if mark := marker(chunk); begins && mark != "" && !(d.directive && mark == begin) {
			if mark == begin {
				r.held = bytes.Clone(behind(chunk))
			}
			if !d.blank() {
				return d.Document, nil
			}
			d = pending{}
		} else {
			d.line(chunk)
		}
		begins, more = !full, err == nil
	}
	return r.last(&d)
}

// chunk reads a line, or as much of a long one as fits the buffer, which is full then.
func (r *Reader) chunk() (text []byte, full bool, err error) {
	text, err = r.from.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return text, true, nil
	}
	return text, false, err
}

// last returns what the stream ends with.
func (r *Reader) last(d *pending) (Document, error) {
	d.line(r.held)
	r.held = nil
	if d.blank() {
		return Document{}, io.EOF
	}
	return d.Document, nil
}

// begin is the mark at which a document begins.
const begin = "---"

// line adds one, or a part of one that is long.
func (d *pending) line(text []byte) {
	if d.Wrong != "" || len(text) == 0 {
		return
	}
	if len(d.Text)+len(text) > largest {
		d.Text, d.Wrong = nil, "it is over 256 MiB"
		return
	}
	first := len(bytes.TrimSpace(d.Text)) == 0
	d.directive = (first || d.directive) && text[0] == '%'
	d.Text = append(d.Text, text...)
}

func (d *pending) blank() bool { return d.Wrong == "" && len(bytes.TrimSpace(d.Text)) == 0 }

// marker returns "---" or "..." if a line begins or ends a document, else "".
func marker(line []byte) string {
	if len(line) < 3 || len(line) > 3 && !bytes.ContainsRune([]byte(" \t\r\n"), rune(line[3])) {
		return ""
	}
	if mark := string(line[:3]); mark == begin || mark == "..." {
		return mark
	}
	return ""
}

// behind is what a line that begins a document already has of it; nil for nothing.
func behind(line []byte) []byte {
	if rest := bytes.TrimSpace(line[3:]); len(rest) == 0 || rest[0] == '#' {
		return nil
	}
	return line
}
