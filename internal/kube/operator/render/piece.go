package render

import (
	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Piece is what one template of templateFrom made. It holds secret values.
type Piece struct {
	Template string // its name, for messages
	Target   string // of templateFrom, as it stands there; "" means Data
	Key      string // of what Text is the value; "" when Text is YAML of keys and values
	Text     []byte
	Decoding v1.DecodingStrategy
}

// Run runs the templates, in order.
func (s Texts) Run(run *template.Run) ([]Piece, error) {
	out := make([]Piece, 0, len(s))
	for _, t := range s {
		piece, err := t.run(run)
		if err != nil {
			return nil, err
		}
		out = append(out, piece)
	}
	return out, nil
}

func (t text) run(run *template.Run) (Piece, error) {
	execute := run.Text
	if t.secret {
		execute = run.SecretText
	}
	out, err := execute(t.name, t.source.RevealString())
	piece := Piece{Template: t.name, Target: t.target, Text: out, Decoding: t.decode}
	if !t.many {
		piece.Key = t.key
	}
	return piece, err
}

// Pairs returns the keys and values of p, decoded.
func (p Piece) Pairs() (map[string][]byte, error) {
	pairs := map[string][]byte{p.Key: p.Text}
	if p.Key == "" {
		var err error
		if pairs, err = keysAndValues(p.Template, p.Text); err != nil {
			return nil, err
		}
	}
	for key, value := range pairs {
		decoded, err := gather.Decode(value, p.Decoding)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "template %s: key %q: %w", p.Template, key, err)
		}
		pairs[key] = decoded
	}
	return pairs, nil
}
