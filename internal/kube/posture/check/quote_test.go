package check_test

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// hostile are names that do something where they are not quoted.
var hostile = []string{
	"db", "system:node", "a b", "x; touch forged", "$(touch forged)", "`touch forged`", "a'b", `a"b\`, "a'; touch forged; '", "x\ntouch forged", "x\ntouch 'forged", "\t\x1b[2K'x1", "", "#x", "~", "*",
	"ä'\u2028\u009b", "{a: b}", "a: b", "- x", "true", "null", "1e3", "0x1f", "!x", "&x", "%", "\\", "$'x'", "-rf", "--all", "yes", "x #", "y",
}

// A name in a command is one word, in one line, and does nothing by itself.
func TestCommand(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED: no bash is installed, which takes the words apart: ", err)
	}
	for _, name := range hostile {
		line := check.Command("printf '<%%s>' %s ns/%s --as=%s # %s", name, name, name, name)
		if strings.ContainsAny(line, "\n\t\x1b") {
			t.Errorf("%q is a command of many lines: %q", name, line)
		}
		cmd := exec.Command(bash, "--norc", "-c", line)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		want := "<" + name + "><ns/" + name + "><--as=" + name + ">"
		if strings.HasPrefix(name, "-") {
			want = "" // a comment
		}
		if err != nil || string(out) != want {
			t.Errorf("%q is %q: %v\n%s", name, line, err, out)
		}
		if left, _ := exec.Command("ls", cmd.Dir).Output(); len(left) > 0 {
			t.Errorf("%q was run: %q", name, line)
		}
	}
}

func TestScalar(t *testing.T) {
	for _, name := range hostile {
		if !utf8.ValidString(name) {
			continue
		}
		text := "# of " + check.Word(name) + "\nmetadata: {namespace: " + check.Scalar(name) + ", name: x}\nlist: [" + check.Scalar(name) + "]\n"
		var o struct {
			Metadata struct{ Namespace, Name string }
			List     []string
		}
		if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil || o.Metadata.Namespace != name || o.Metadata.Name != "x" || len(o.List) != 1 || o.List[0] != name {
			t.Errorf("%q is read as %q of %q: %v", name, o.Metadata.Namespace, text, err)
		}
	}
}
