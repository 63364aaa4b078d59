package idwire

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Bounds of an XML document.
const (
	maxElements = 2048
	maxDepth    = 32
	maxOwnText  = 16 * maxText // of one element
)

// xmlElement is one element of a document. Its parts alias the document or a place
// that is overwritten, and are valid during the call that they are given to.
type xmlElement struct {
	name, parent []byte                          // without their prefixes
	value        []byte                          // own text, without space around it
	attribute    []byte                          // V
	copied       struct{ value, attribute bool } // not the document itself
}

// eachElement calls take with the elements of a document at their ends, up to the
// first damage or bound. It is our own because the decoder of the standard library
// copies all that it passes over, which holds names of persons, and leaves the
// copies to the garbage collector: of these nothing stays in memory.
func eachElement(b []byte, take func(xmlElement)) {
	stack := make([]xmlElement, 0, maxDepth)
	defer func() {
		for i := range stack {
			stack[i].wipe()
		}
	}()
	for range maxElements * 3 {
		if len(b) == 0 {
			return
		}
		end := 0
		switch {
		case b[0] != '<':
			if end = bytes.IndexByte(b, '<'); end < 0 {
				return
			}
			if n := len(stack); n > 0 && !stack[n-1].add(b[:end], true) {
				return
			}
		case bytes.HasPrefix(b, []byte("<?")):
			end = after(b, "?>")
		case bytes.HasPrefix(b, []byte("<!--")):
			end = after(b, "-->")
		case bytes.HasPrefix(b, []byte("<![CDATA[")):
			if end = after(b, "]]>"); end > 0 && len(stack) > 0 {
				stack[len(stack)-1].add(b[len("<![CDATA["):end-len("]]>")], false)
			}
		case bytes.HasPrefix(b, []byte("<!")): // a document type
			return
		case bytes.HasPrefix(b, []byte("</")):
			if end = after(b, ">"); end == 0 || !pop(&stack, bytes.TrimRight(b[2:end-1], space), take) {
				return
			}
		default:
			e, size, empty, ok := startTag(b)
			if !ok || len(stack) == maxDepth {
				e.wipe()
				return
			}
			end = size
			stack = append(stack, e)
			if empty && !pop(&stack, e.name, take) {
				return
			}
		}
		if end == 0 {
			return
		}
		b = b[end:]
	}
}

const space = " \t\r\n"

// after returns where the first s in b ends; 0 if there is none.
func after(b []byte, s string) int {
	at := bytes.Index(b, []byte(s))
	if at < 0 {
		return 0
	}
	return at + len(s)
}

// pop ends the innermost element, which must have this name.
func pop(stack *[]xmlElement, name []byte, take func(xmlElement)) bool {
	n := len(*stack) - 1
	if n < 0 || !bytes.Equal(local(name), local((*stack)[n].name)) {
		return false
	}
	e := (*stack)[n]
	if n > 0 {
		e.parent = local((*stack)[n-1].name)
	}
	given := e
	given.name, given.value = local(e.name), bytes.Trim(e.value, space)
	take(given)
	e.wipe()
	*stack = (*stack)[:n]
	return true
}

// local is a name without its prefix.
func local(name []byte) []byte {
	if at := bytes.IndexByte(name, ':'); at > 0 && at < len(name)-1 {
		return name[at+1:]
	}
	return name
}

// add adds a run of own text, in which entities stand for characters.
func (e *xmlElement) add(run []byte, entities bool) (ok bool) {
	if len(e.value)+len(run) > maxOwnText {
		return true
	}
	moved := false
	if entities && bytes.IndexByte(run, '&') >= 0 {
		if run, ok = unescape(run); !ok {
			return false
		}
		moved = true
	}
	if len(e.value) == 0 && !moved {
		e.value = slices.Clip(run)
		return true
	}
	value := make([]byte, 0, len(e.value)+len(run))
	value = append(append(value, e.value...), run...)
	e.wipeValue()
	if moved {
		clear(run)
	}
	e.value, e.copied.value = value, true
	return true
}

func (e *xmlElement) wipeValue() {
	if e.copied.value {
		clear(e.value)
	}
}

func (e *xmlElement) wipe() {
	e.wipeValue()
	if e.copied.attribute {
		clear(e.attribute)
	}
}

// startTag reads the tag that b begins, its size and whether it ends the element
// too.
func startTag(b []byte) (e xmlElement, size int, empty, ok bool) {
	at := 1
	word := func() []byte {
		from := at
		for at < len(b) && b[at] > ' ' && b[at] != '=' && b[at] != '/' && b[at] != '>' && b[at] != '<' && b[at] != '"' && b[at] != '\'' {
			at++
		}
		return b[from:at]
	}
	skip := func() {
		for at < len(b) && bytes.IndexByte([]byte(space), b[at]) >= 0 {
			at++
		}
	}
	if e.name = word(); len(e.name) == 0 {
		return e, 0, false, false
	}
	for {
		skip()
		rest := b[at:]
		switch {
		case bytes.HasPrefix(rest, []byte("/>")):
			return e, at + 2, true, true
		case bytes.HasPrefix(rest, []byte(">")):
			return e, at + 1, false, true
		}
		name := word()
		skip()
		if len(name) == 0 || at >= len(b) || b[at] != '=' {
			return e, 0, false, false
		}
		at++
		skip()
		if at >= len(b) || b[at] != '"' && b[at] != '\'' {
			return e, 0, false, false
		}
		quote := b[at]
		at++
		n := bytes.IndexByte(b[at:], quote)
		if n < 0 {
			return e, 0, false, false
		}
		if string(local(name)) == "V" {
			if e.copied.attribute {
				clear(e.attribute)
			}
			e.attribute = b[at : at+n : at+n]
			if e.copied.attribute = bytes.IndexByte(e.attribute, '&') >= 0; e.copied.attribute {
				if e.attribute, ok = unescape(e.attribute); !ok {
					return e, 0, false, false
				}
			}
		}
		at += n + 1
	}
}

// unescape returns a copy of b in which the five entities of XML and references
// to characters are what they stand for.
func unescape(b []byte) (out []byte, ok bool) {
	out = make([]byte, 0, len(b)) // no reference is shorter than its character
	for {
		at := bytes.IndexByte(b, '&')
		if at < 0 {
			return append(out, b...), true
		}
		out, b = append(out, b[:at]...), b[at+1:]
		end := bytes.IndexByte(b, ';')
		if end < 0 {
			break
		}
		reference := b[:end]
		b = b[end+1:]
		if c, known := map[string]byte{"lt": '<', "gt": '>', "amp": '&', "apos": '\'', "quot": '"'}[string(reference)]; known {
			out = append(out, c)
			continue
		}
		digits, isNumber := bytes.CutPrefix(reference, []byte("#"))
		base := 10
		if hex, isHex := bytes.CutPrefix(digits, []byte("x")); isHex {
			digits, base = hex, 16
		}
		n, err := strconv.ParseUint(string(digits), base, 21)
		if !isNumber || err != nil || !utf8.ValidRune(rune(n)) {
			break
		}
		out = utf8.AppendRune(out, rune(n))
	}
	clear(out)
	return nil, false
}
