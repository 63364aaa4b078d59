package fingerprint

import "testing"

func TestBuiltin(t *testing.T) {
	s, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Check()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(n)
}
