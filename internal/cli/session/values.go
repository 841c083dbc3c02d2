package session

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Values reads the KEY=VALUE arguments of a write:
//
//	key=@file   the content of a file
//	key=-       standard input
//	key         asked for without echo, on a terminal
//	key=value   the value itself; for secrets the shell's history keeps it
//	@file.json  all fields from a JSON object in a file
//	-           all fields from a JSON object on standard input
//
// secret tells of a key whether its value, given literally, deserves the warning
// about shell history; nil = of none.
func (s *Session) Values(arguments []string, secret func(key string) bool) (map[string]any, error) {
	fields := map[string]any{}
	exposed, stdinUsed := false, false
	for _, argument := range arguments {
		literal, err := s.argument(fields, argument, &stdinUsed)
		if err != nil {
			return nil, err
		}
		exposed = exposed || literal != "" && secret != nil && secret(literal)
	}
	if exposed {
		s.Warn([]string{"a value on the command line stays in the shell's history and is visible to others on this machine; use KEY=@file, KEY=- (standard input) or KEY alone (prompt)."})
	}
	return fields, nil
}

// argument reads one argument into fields. literal is its key if the value itself
// stands on the command line.
func (s *Session) argument(fields map[string]any, argument string, stdinUsed *bool) (literal string, err error) {
	key, value, given := strings.Cut(argument, "=")
	switch {
	case argument == "-" || strings.HasPrefix(argument, "@"):
		return "", s.jsonFields(fields, argument, stdinUsed)
	case key == "":
		return "", errs.New(errs.Invalid, "an argument begins with \"=\": the form is KEY=VALUE")
	case !given:
		fields[key], err = s.Ask(key)
	case strings.HasPrefix(value, "@"):
		fields[key], err = fileValue(key, value[1:])
	case value == "-":
		fields[key], err = s.ReadStdin(stdinUsed)
	default:
		literal = key
		fields[key] = strings.TrimPrefix(value, `\`) // \@x and \- are literals
	}
	return literal, err
}

// AnyKey is for Values where everything that is written is a secret.
func AnyKey(string) bool { return true }

// SecretKey is for Values where most of what is written are settings: it knows
// the keys of secrets by their names, and settings about secrets by theirs.
func SecretKey(key string) bool {
	key = strings.ToLower(key)
	for _, setting := range []string{"_ttl", "_uses", "_policy", "_policies", "_type", "_bits", "_id_bound_cidrs", "_version", "_period", "_name", "_ref", "_usage", "metadata", "_url", "database", "_size", "_authentication"} {
		if strings.HasSuffix(key, setting) {
			return false
		}
	}
	for _, word := range []string{"password", "passphrase", "secret", "jwt", "key", "data", "value", "credential", "plaintext", "bindpass"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return strings.HasSuffix(key, "token")
}

func fileValue(key, path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", errs.Newf(errs.Invalid, "reading the value of %s: %w", key, err)
	}
	return string(content), nil
}

func (s *Session) jsonFields(fields map[string]any, argument string, stdinUsed *bool) error {
	var raw string
	var err error
	if argument == "-" {
		raw, err = s.ReadStdin(stdinUsed)
	} else {
		raw, err = fileValue("the fields", argument[1:])
	}
	if err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return errs.Newf(errs.Invalid, "the fields in %s must be a JSON object (byte %d is where it ends being one)", where(argument), dec.InputOffset())
	}
	for k, v := range object {
		fields[k] = v
	}
	return nil
}

func where(argument string) string {
	if argument == "-" {
		return "standard input"
	}
	return argument[1:]
}

// ReadStdin returns all of standard input; used guards against reading it twice.
func (s *Session) ReadStdin(used *bool) (string, error) {
	if *used {
		return "", errs.New(errs.Invalid, "standard input can be read for one value only")
	}
	*used = true
	content, err := io.ReadAll(s.Env.Stdin)
	if err != nil {
		return "", errs.Newf(errs.Invalid, "reading standard input: %w", err)
	}
	return string(content), nil
}

// Ask prompts for the value of a field without echo. Kind Invalid: there is no terminal.
func (s *Session) Ask(key string) (string, error) {
	return s.AskFor(key, "use "+key+"=@file or "+key+"=-")
}

// AskFor prompts for what is no field. Without a terminal it is an error of kind
// Invalid that says what to do instead.
func (s *Session) AskFor(what, instead string) (string, error) {
	if s.Env.ReadPassword == nil || s.NonInteractive {
		return "", errs.Newf(errs.Invalid, "%s is missing and there is no terminal to ask on: %s", what, instead)
	}
	value, err := s.Env.ReadPassword(what + " (not shown): ")
	if err != nil {
		return "", errs.Newf(errs.Invalid, "reading %s: %w", what, err)
	}
	return string(value), nil
}

// Confirm asks on a terminal before something that cannot be undone. Scripts
// are not asked. Kind Invalid: the answer was not yes.
func (s *Session) Confirm(what string) error {
	if s.Env.ReadLine == nil || s.NonInteractive {
		return nil
	}
	answer, err := s.Env.ReadLine(what + " This cannot be undone. Type yes to go on: ")
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the answer: %w", err)
	}
	if answer != "yes" {
		return errs.New(errs.Invalid, "nothing was done")
	}
	return nil
}

// SecretArgument is an optional secret on the command line, which works with a
// warning; "-" reads standard input.
func (s *Session) SecretArgument(given []string, what string) (string, error) {
	if len(given) == 0 {
		return "", nil
	}
	if given[0] != "-" {
		s.Warn([]string{"a " + what + " on the command line stays in the shell's history: use - for standard input"})
		return given[0], nil
	}
	used := false
	content, err := s.ReadStdin(&used)
	return strings.TrimSpace(content), err
}

// Seconds reads a flag that takes seconds or a duration; "" is 0.
func Seconds(flag, v string) (int, error) {
	if v == "" {
		return 0, nil
	}
	if seconds, err := strconv.Atoi(v); err == nil && seconds >= 0 {
		return seconds, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, errs.Newf(errs.Invalid, "%s %q: use seconds or a duration such as 1h", flag, v)
	}
	return int(d.Seconds()), nil
}
