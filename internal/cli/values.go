package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// values reads the KEY=VALUE arguments of a write:
//
//	key=@file   the content of a file
//	key=-       standard input
//	key         asked for without echo, on a terminal
//	key=value   the value itself; for secrets the shell's history keeps it
//	@file.json  all fields from a JSON object in a file
//	-           all fields from a JSON object on standard input
//
// warn says that literal values deserve the warning about shell history.
func (a *app) values(arguments []string, warn bool) (map[string]any, error) {
	fields := map[string]any{}
	literal, stdinUsed := false, false
	for _, argument := range arguments {
		if argument == "-" || strings.HasPrefix(argument, "@") {
			if err := a.jsonFields(fields, argument, &stdinUsed); err != nil {
				return nil, err
			}
			continue
		}
		key, value, found := strings.Cut(argument, "=")
		if key == "" {
			return nil, errs.New(errs.Invalid, "an argument begins with \"=\": the form is KEY=VALUE")
		}
		if !found {
			asked, err := a.ask(key)
			if err != nil {
				return nil, err
			}
			fields[key] = asked
			continue
		}
		switch {
		case strings.HasPrefix(value, "@"):
			content, err := os.ReadFile(value[1:])
			if err != nil {
				return nil, errs.Newf(errs.Invalid, "reading the value of %s: %w", key, err)
			}
			fields[key] = string(content)
		case value == "-":
			content, err := a.stdin(&stdinUsed)
			if err != nil {
				return nil, err
			}
			fields[key] = string(content)
		default:
			literal = true
			fields[key] = strings.TrimPrefix(value, `\`) // \@x and \- are literals
		}
	}
	if literal && warn {
		_, _ = fmt.Fprintln(a.env.Stderr, "Warning: a value on the command line stays in the shell's history and is visible to others on this machine; use KEY=@file, KEY=- (standard input) or KEY alone (prompt).")
	}
	return fields, nil
}

func (a *app) jsonFields(fields map[string]any, argument string, stdinUsed *bool) error {
	var raw []byte
	var err error
	if argument == "-" {
		raw, err = a.stdin(stdinUsed)
	} else {
		raw, err = os.ReadFile(argument[1:])
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "reading the fields: %w", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
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

func (a *app) stdin(used *bool) ([]byte, error) {
	if *used {
		return nil, errs.New(errs.Invalid, "standard input can be read for one value only")
	}
	*used = true
	content, err := io.ReadAll(a.env.Stdin)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading standard input: %w", err)
	}
	return content, nil
}

func (a *app) ask(key string) (string, error) {
	if a.env.ReadPassword == nil {
		return "", errs.Newf(errs.Invalid, "%s has no value and there is no terminal to ask on: use %s=@file or %s=-", key, key, key)
	}
	value, err := a.env.ReadPassword(key + " (not shown): ")
	if err != nil {
		return "", errs.Newf(errs.Invalid, "reading %s: %w", key, err)
	}
	return string(value), nil
}
