package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs_commandsExist parses every probity command line in the documents:
// the command must exist and know each flag.
func TestDocs_commandsExist(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join("..", "..", "README.md"))
	lines := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(b)) {
			lines++
			a := &app{now: testClock()}
			cmd, args, err := a.rootCommand().Find(line)
			if err != nil {
				t.Errorf("%s: %v: %v", name, line, err)
				continue
			}
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%s: %v: %v", name, line, err)
			}
		}
	}
	if lines < 5 {
		t.Errorf("only %d command lines found: the test looks in the wrong place", lines)
	}
}

// commandLines returns the arguments of the lines of code blocks that run
// probity, with continued lines joined and comments cut off.
func commandLines(doc string) [][]string {
	var out [][]string
	code := false
	for line := range strings.Lines(strings.ReplaceAll(doc, "\\\n", " ")) {
		if strings.HasPrefix(line, "```") {
			code = !code
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(line)
		if !code || len(words) < 2 || words[0] != "bin/probity" && words[0] != "probity" {
			continue
		}
		if words[len(words)-1] == "&" {
			words = words[:len(words)-1]
		}
		out = append(out, words[1:])
	}
	return out
}
