package lint

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// ParamsFor returns the parameters in force for a check: its defaults, replaced
// by set. The values of set may come from YAML or JSON. An error names the
// check and the parameter that does not exist or has another type.
func ParamsFor(c Check, set map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(c.Params))
	for _, p := range c.Params {
		out[p.Name] = p.Default
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		def, ok := out[name]
		if !ok {
			return nil, fmt.Errorf("check %s has no parameter %q (it has %s)", c.Name, name, paramNames(c))
		}
		v, err := convert(def, set[name])
		if err != nil {
			return nil, fmt.Errorf("check %s: parameter %q: %w", c.Name, name, err)
		}
		out[name] = v
	}
	return out, nil
}

func paramNames(c Check) string {
	if len(c.Params) == 0 {
		return "none"
	}
	names := make([]string, len(c.Params))
	for i, p := range c.Params {
		names[i] = p.Name
	}
	return fmt.Sprintf("%q", names)
}

// convert brings v to the type of def.
func convert(def, v any) (any, error) {
	switch def.(type) {
	case int:
		return toInt(v)
	case bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("got %v, want true or false", v)
	case string:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, fmt.Errorf("got %v, want text", v)
	case []string:
		return toStrings(v)
	case map[string]int:
		return toInts(v)
	default:
		return nil, fmt.Errorf("the default has the unsupported type %T", def)
	}
}

func toInt(v any) (int, error) {
	switch n := v.(type) {
	case int:
		return n, nil
	case int64:
		return int(n), nil
	case uint64:
		if n <= math.MaxInt {
			return int(n), nil
		}
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int(n), nil
		}
	}
	return 0, fmt.Errorf("got %v, want a whole number", v)
}

func toStrings(v any) ([]string, error) {
	switch l := v.(type) {
	case []string:
		return slices.Clone(l), nil
	case []any:
		out := make([]string, 0, len(l))
		for _, e := range l {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("got %v in the list, want text", e)
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, fmt.Errorf("got %v, want a list of texts", v)
}

func toInts(v any) (map[string]int, error) {
	switch m := v.(type) {
	case map[string]int:
		return maps.Clone(m), nil
	case map[string]any:
		out := make(map[string]int, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			n, err := toInt(m[k])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", k, err)
			}
			out[k] = n
		}
		return out, nil
	}
	return nil, fmt.Errorf("got %v, want names with whole numbers", v)
}

// Int returns the value of an integer parameter of the running check.
func (e *Env) Int(name string) int { n, _ := e.params[name].(int); return n }

// String returns the value of a text parameter.
func (e *Env) String(name string) string { s, _ := e.params[name].(string); return s }

// Strings returns the value of a list parameter.
func (e *Env) Strings(name string) []string { l, _ := e.params[name].([]string); return l }

// IntMap returns the value of a parameter that maps names to integers.
func (e *Env) IntMap(name string) map[string]int { m, _ := e.params[name].(map[string]int); return m }
