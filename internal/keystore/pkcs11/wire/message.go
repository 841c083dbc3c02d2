package wire

import (
	"encoding/binary"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Protocol is its version. Both sides have the same one, or do not speak.
const Protocol = 2

// MaxCalls may be under way at once: the program has as many sessions, and refuses more.
const MaxCalls = 16

// Magic is the first field of Hello.
const Magic = "strongkeep-pkcs11"

// MaxFrame bounds a message without its length, MaxFields what it has.
const (
	MaxFrame  = 64 << 10
	MaxFields = 1024
	headSize  = 4 + 1 + 2
)

// Kind says what a message is about.
type Kind byte

// The kinds. A request has an ID of its own, and its answer the same.
const (
	Hello  Kind = 1 + iota // the program's first word: Magic, Protocol (1 byte)
	Open                   // Opening; answered by Done without fields
	List                   // no fields; answered by Done with the fields of Versions
	Wrap                   // a Version's ID, associated data, plaintext; answered by Done with IV and ciphertext
	Unwrap                 // a Version's ID, associated data, IV, ciphertext; answered by Done with the plaintext
	Done                   // what was asked for
	Failed                 // the fields of Failure
	last
)

// Message is one frame:
//
//	+--------+----+------+-------+--------------------+
//	| length | id | kind | count | count × (length,   |
//	|   4    | 4  |  1   |   2   |  4 bytes, and it)  |
//	+--------+----+------+-------+--------------------+
//
// Numbers are big-endian; the first length is that of all behind it, at most MaxFrame.
type Message struct {
	ID     uint32
	Kind   Kind
	Fields [][]byte
}

// Append appends m as a frame. Kind TooLarge.
func Append(to []byte, m Message) ([]byte, error) {
	size := headSize
	for _, f := range m.Fields {
		size += 4 + len(f)
	}
	if size > MaxFrame || len(m.Fields) > MaxFields {
		return to, errs.Newf(errs.TooLarge, "%d bytes in %d fields are more than a message holds", size, len(m.Fields))
	}
	to = binary.BigEndian.AppendUint32(to, uint32(size))
	to = binary.BigEndian.AppendUint32(to, m.ID)
	to = append(to, byte(m.Kind))
	to = binary.BigEndian.AppendUint16(to, uint16(len(m.Fields)))
	for _, f := range m.Fields {
		to = binary.BigEndian.AppendUint32(to, uint32(len(f)))
		to = append(to, f...)
	}
	return to, nil
}

// Parse reads what stands behind the length of a frame. The fields are parts of body.
// Kind Invalid.
func Parse(body []byte) (Message, error) {
	if len(body) < headSize || len(body) > MaxFrame {
		return Message{}, errs.Newf(errs.Invalid, "a message of %d bytes is none", len(body))
	}
	m := Message{ID: binary.BigEndian.Uint32(body), Kind: Kind(body[4])}
	count := int(binary.BigEndian.Uint16(body[5:]))
	if m.Kind == 0 || m.Kind >= last || count > MaxFields {
		return Message{}, errs.Newf(errs.Invalid, "a message of kind %d with %d fields is none", m.Kind, count)
	}
	rest := body[headSize:]
	for range count {
		if len(rest) < 4 {
			return Message{}, errs.New(errs.Invalid, "a message was cut short")
		}
		size := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(size) > uint64(len(rest)) {
			return Message{}, errs.New(errs.Invalid, "a message was cut short")
		}
		m.Fields = append(m.Fields, rest[:size:size])
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return Message{}, errs.New(errs.Invalid, "a message has more than its fields")
	}
	return m, nil
}

// Read reads one message. io.EOF, as it is, if there is none any more; kind Invalid for
// what is no message, behind which nothing can be read.
func Read(r io.Reader) (Message, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return Message{}, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size < headSize || size > MaxFrame {
		return Message{}, errs.Newf(errs.Invalid, "a message of %d bytes is none", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return Message{}, err
	}
	return Parse(body)
}

// Write writes one message, and wipes what it was made in.
func Write(w io.Writer, m Message) error {
	frame, err := Append(nil, m)
	if err != nil {
		return err
	}
	defer clear(frame)
	_, err = w.Write(frame)
	return err
}

// Want returns the fields of a message that must have so many. Kind Invalid.
func (m Message) Want(count int) ([][]byte, error) {
	if len(m.Fields) != count {
		return nil, errs.Newf(errs.Invalid, "a message of kind %d has %d fields, not %d", m.Kind, len(m.Fields), count)
	}
	return m.Fields, nil
}
