package fingerprint

import "testing"

func TestBuiltin(t *testing.T) {
	s, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	n, failures := s.Check()
	for _, f := range failures {
		t.Error(f)
	}
	if n.Entries < 100 || n.Examples < 200 {
		t.Errorf("only %+v were checked", n)
	}
}
