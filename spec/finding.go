package spec

// Finding is a diagnostic for what lies outside the files, at the place of the
// value that a path leads to, as At finds it.
func (s *Stack) Finding(rule, message string, path ...string) Diagnostic {
	r := &report{}
	var at place
	v := s.positions.root
	for _, name := range path {
		if v = v.child(name); v == nil {
			break
		}
		at = v.at
	}
	r.add(at, rule, message, "")
	return r.list[0]
}
