package repo

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// sample is how much of a file says whether it is text, as Git has it.
const sample = 8000

// readable is a file's text in UTF-8, with lines where they were. What is neither UTF-8
// nor UTF-16 is taken for Latin-1, in which every byte is a character; what has NUL bytes
// otherwise is no text, as Git has it too.
func readable(raw []byte) (text []byte, ok bool) {
	if order := utf16Order(raw); order != nil {
		return fromUTF16(raw, order), true
	}
	switch {
	case bytes.IndexByte(raw[:min(len(raw), sample)], 0) >= 0:
		return nil, false
	case utf8.Valid(raw):
		return raw, true
	case closed(raw): // without a NUL byte, by chance
		return nil, false
	}
	text = make([]byte, 0, len(raw)+len(raw)/4)
	for _, b := range raw {
		text = utf8.AppendRune(text, rune(b))
	}
	return text, true
}

// utf16Order is the order of bytes of a text in UTF-16; nil if raw is none: by its mark, or
// because every other byte is NUL, and no other, as in texts of Latin letters.
func utf16Order(raw []byte) binary.ByteOrder {
	switch {
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}):
		return binary.LittleEndian
	case bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return binary.BigEndian
	}
	var zero [2]int
	begin := raw[:min(len(raw), sample)&^1]
	for i, b := range begin {
		if b == 0 {
			zero[i%2]++
		}
	}
	switch half := len(begin) / 2; {
	case half < 4:
		return nil
	case zero[0] == 0 && zero[1]*10 >= half*9:
		return binary.LittleEndian
	case zero[1] == 0 && zero[0]*10 >= half*9:
		return binary.BigEndian
	}
	return nil
}

func fromUTF16(raw []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, order.Uint16(raw[i:]))
	}
	if len(units) > 0 && units[0] == 0xfeff {
		units = units[1:]
	}
	return []byte(string(utf16.Decode(units)))
}
