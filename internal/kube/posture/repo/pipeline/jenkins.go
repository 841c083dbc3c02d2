package pipeline

import (
	"maps"
	"regexp"
	"strings"
)

// A Jenkinsfile is Groovy, which is not parsed: credentials are bound in a few
// forms, and commands are texts in a few forms.
var (
	bound     = regexp.MustCompile(`\b(?:variable|passwordVariable|keyFileVariable|passphraseVariable|tokenVariable|secretKeyVariable|accessKeyVariable)\s*:\s*['"]([A-Za-z_][A-Za-z0-9_]*)['"]`)
	inEnv     = regexp.MustCompile(`(?m)^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*credentials\s*\(`)
	command   = regexp.MustCompile(`\b(sh|bash)\b[ \t]*\(?[ \t]*(?:[a-zA-Z]+[ \t]*:[ \t]*(?:true|false|'[^']*'|"[^"]*")[ \t]*,[ \t]*)*(?:script[ \t]*:[ \t]*)?('''|"""|'|")`)
	printed   = regexp.MustCompile(`(?m)^\s*(?:echo|println|print)[ \t(]+(.*)$`)
	property  = regexp.MustCompile(`(?m)\b([A-Za-z_][A-Za-z0-9_]*)[ \t]*[=:][ \t]*(?:'([^'\n]+)'|"([^"$\n]+)")`)
	inString  = regexp.MustCompile(`\$\{?(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)`)
	inGroovy  = regexp.MustCompile(`\b(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)\b`)
	stageName = regexp.MustCompile(`\bstage\s*\(\s*['"]([^'"\n]*)['"]`)
	notHeld   = regexp.MustCompile(`(?i)(?:Variable|credentialsId|Id|variable)$`)
)

func (p *reader) jenkins(text string) {
	secret := p.bindings(text)
	for _, m := range command.FindAllStringSubmatchIndex(text, -1) {
		p.command(text, m[4], m[5], secret)
	}
	p.prints(text, secret)
	for _, m := range property.FindAllStringSubmatchIndex(text, -1) {
		name, value := text[m[2]:m[3]], group(text, m, 2)+group(text, m, 3)
		if !notHeld.MatchString(name) && isLiteral(name, value) {
			p.say(lineOf(text, m[0]), place{job: stage(text, m[0])}, Literal)
		}
	}
}

// bindings are the variables that credentials are bound to.
func (p *reader) bindings(text string) map[string]bool {
	secret := map[string]bool{}
	for _, m := range bound.FindAllStringSubmatch(text, -1) {
		secret[m[1]] = true
	}
	for _, m := range inEnv.FindAllStringSubmatch(text, -1) {
		secret[m[1]], secret[m[1]+"_PSW"] = true, true
	}
	for name := range secret {
		if !strings.HasSuffix(name, "_PSW") {
			p.secrets[name] = true
		}
	}
	return secret
}

// prints looks at what Groovy itself prints.
func (p *reader) prints(text string, secret map[string]bool) {
	for _, m := range printed.FindAllStringSubmatchIndex(text, -1) {
		names := inGroovy
		if s := text[m[2]:m[3]]; strings.Contains(s, "\"") || strings.Contains(s, "'") {
			names = inString
		}
		for _, v := range names.FindAllStringSubmatch(text[m[2]:m[3]], -1) {
			if secret[v[1]] && !strings.HasPrefix(strings.TrimSpace(text[m[2]:m[3]]), "'") {
				p.say(lineOf(text, m[2]), place{job: stage(text, m[0])}, Echoes)
				break
			}
		}
	}
}

// group is a part of a match, "" if it is none.
func group(text string, m []int, n int) string {
	if m[2*n] < 0 {
		return ""
	}
	return text[m[2*n]:m[2*n+1]]
}

// command looks at a text that is given to a shell; open is its opening quote.
func (p *reader) command(text string, open, begin int, secret map[string]bool) {
	quote := text[open:begin]
	end := closing(text, begin, quote)
	body := text[begin:end]
	at := place{job: stage(text, open)}
	of := maps.Clone(secret)
	if quote[0] == '"' {
		for _, v := range inString.FindAllStringSubmatchIndex(body, -1) {
			if escaped := v[0] > 0 && body[v[0]-1] == '\\'; !escaped && secret[body[v[2]:v[3]]] {
				p.say(lineOf(text, begin+v[0]), at, Interpolated)
			}
		}
		body = strings.ReplaceAll(body, `\$`, `$`)
		body = strings.ReplaceAll(body, "${env.", "${")
	}
	p.script(body, lineOf(text, begin), at, of, false)
}

// closing is where a quote ends, or the text.
func closing(text string, from int, quote string) int {
	for i := from; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case strings.HasPrefix(text[i:], quote):
			return i
		case len(quote) == 1 && text[i] == '\n':
			return i
		}
	}
	return len(text)
}

func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// stage is the name of the one that begins last before a place.
func stage(text string, at int) string {
	all := stageName.FindAllStringSubmatch(text[:at], -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}
