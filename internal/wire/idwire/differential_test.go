package idwire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// elementsOf reads a document with the standard library; ok is false for one that
// it refuses, or that is beyond our bounds.
func elementsOf(b []byte) (out [][4]string, ok bool) {
	type open struct{ name, value, attribute string }
	d := xml.NewDecoder(bytes.NewReader(b))
	var stack []open
	for range maxElements {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return out, true
		}
		if err != nil {
			return nil, false
		}
		switch t := token.(type) {
		case xml.StartElement:
			o := open{name: t.Name.Local}
			for _, a := range t.Attr {
				if a.Name.Local == "V" {
					o.attribute = a.Value
				}
			}
			stack = append(stack, o)
		case xml.CharData:
			if n := len(stack); n > 0 {
				stack[n-1].value += string(t)
			}
		case xml.EndElement:
			n := len(stack) - 1
			if n < 0 || stack[n].name != t.Name.Local {
				return nil, false
			}
			parent := ""
			if n > 0 {
				parent = stack[n-1].name
			}
			out, stack = append(out, [4]string{stack[n].name, parent, strings.Trim(stack[n].value, space), stack[n].attribute}), stack[:n]
		case xml.Directive:
			return nil, false
		}
		if len(stack) > maxDepth-1 || len(out) > maxElements/4 {
			return nil, false
		}
	}
	return nil, false
}

// FuzzElements: what the standard library reads of a document, we read as well,
// and the document stays as it is.
func FuzzElements(f *testing.F) {
	for _, s := range []string{
		wsd, dpws, poct1, `<a V="1&amp;2"><b:c V='x'>t&lt;&#65;&#x42;</b:c> tail</a>`, `<a>x<!-- > -->y<![CDATA[&amp;<z>]]>w<b/></a >`,
		`<?xml version="1.0" encoding="UTF-8"?><a:b xmlns:a="u" V = "q"/>`, `<a V="b&amp;c">text</a>`, "<a\n><b V=\"1\"\t/></a>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var got [][4]string
		eachElement(b, func(e xmlElement) {
			got = append(got, [4]string{string(e.name), string(e.parent), string(e.value), string(e.attribute)})
		})
		if !bytes.Equal(before, b) {
			t.Fatalf("the document became %q", b)
		}
		want, ok := elementsOf(b)
		if !ok || bytes.ContainsAny(b, "\r") || len(b) > maxOwnText { // the library makes other line ends
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-library +ours):\n%s", b, diff)
		}
	})
}

// stringsOf reads a document with the standard library.
func stringsOf(t *testing.T, b []byte) (out [][2]string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	var value func(path string)
	value = func(path string) {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch v := token.(type) {
		case string:
			out = append(out, [2]string{path, v})
		case json.Delim:
			for d.More() {
				inner := path
				if v == '{' {
					name, err := d.Token()
					if err != nil {
						t.Fatal(err)
					}
					if inner += "." + name.(string); path == "" {
						inner = name.(string)
					}
				}
				value(inner)
			}
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
		}
	}
	value("")
	return out
}

// FuzzStrings: the strings of a document, and where they stand, are those that the
// standard library reads.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{statement, `{"a":[{"b":"c"},["d"],1,true,null,{}],"e":{"f":"g"},"h":"\"i\\"}`, `"x"`, `[]`, `{"a":"1" , "a" : "2"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		var got [][2]string
		eachString(b, func(path, quoted []byte) bool {
			var s string
			if err := json.Unmarshal(quoted, &s); err != nil {
				return false
			}
			got = append(got, [2]string{string(path), s})
			return true
		})
		if !bytes.Equal(before, b) {
			t.Fatalf("the document became %q", b)
		}
		// Names with a character that is written in another way are none that we read,
		// nor are those with a dot, an empty one, or beyond our bounds.
		if !json.Valid(b) || bytes.ContainsAny(b, "\\.") || bytes.Contains(b, []byte(`""`)) || len(b) > maxPath || bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > maxDepth || !utf8.Valid(b) {
			return
		}
		if diff := cmp.Diff(stringsOf(t, b), got); diff != "" {
			t.Errorf("%q (-library +ours):\n%s", b, diff)
		}
	})
}
