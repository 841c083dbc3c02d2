package rewrite

import (
	"regexp"
	"regexp/syntax"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Bounds of one expression.
const (
	maxExpression   = 4096 // bytes, of source and of target
	maxInstructions = 20_000
	maxGroups       = 64
	maxSteps        = 64 << 20 // instructions times the square of a key's bytes: each match may look at all of it
)

// replaced replaces, in every key, each match of source by target. Keys without
// a match stay.
func (r rewriter) replaced(op *v1.RewriteRegexp, values map[string]redact.Secret) (map[string]redact.Secret, error) {
	if len(op.Target) > maxExpression {
		return nil, errs.Newf(errs.Invalid, ".regexp.target has %d bytes: at most %d are allowed", len(op.Target), maxExpression)
	}
	re, size, err := compile(op.Source)
	if err != nil {
		return nil, err
	}
	return r.renamed(values, func(key string) (string, error) {
		if size*(len(key)+1)*(len(key)+1) > maxSteps {
			return "", errs.Newf(errs.TooLarge, ".regexp.source is too large an expression for key %s", show(key))
		}
		next, ok := replace(re, key, op.Target)
		if !ok {
			return "", errTooLong(key)
		}
		return next, nil
	})
}

// compile returns the expression and its size in instructions.
func compile(source string) (*regexp.Regexp, int, error) {
	if len(source) > maxExpression {
		return nil, 0, errs.Newf(errs.Invalid, ".regexp.source has %d bytes: at most %d are allowed", len(source), maxExpression)
	}
	parsed, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, 0, errs.Newf(errs.Invalid, ".regexp.source %s: %w", show(source), err)
	}
	groups := parsed.MaxCap()
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, errs.Newf(errs.Invalid, ".regexp.source %s: %w", show(source), err)
	}
	if len(program.Inst) > maxInstructions || groups > maxGroups {
		return nil, 0, errs.Newf(errs.Invalid, ".regexp.source %s is too large an expression: repeat less, and have at most %d groups", show(source), maxGroups)
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, 0, errs.Newf(errs.Invalid, ".regexp.source %s: %w", show(source), err)
	}
	return re, len(program.Inst), nil
}

// replace is re.ReplaceAllString that gives up, ok false, when the result grows
// over maxKey: a "$0" may copy the key for every match.
func replace(re *regexp.Regexp, key, target string) (out string, ok bool) {
	var made []byte
	end := 0
	for _, match := range re.FindAllStringSubmatchIndex(key, -1) {
		made = append(made, key[end:match[0]]...)
		made = re.ExpandString(made, target, key, match)
		end = match[1]
		if len(made) > maxKey {
			return "", false
		}
	}
	made = append(made, key[end:]...)
	return string(made), len(made) <= maxKey
}
