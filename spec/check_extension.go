package spec

// checkExtension: what x-stack says makes sense and can be had. Its form is the
// schema's to judge, whether a key does anything the table of support's. Other
// x-* keys belong to the user, as in Compose.
func checkExtension(m *model, r *report) {
	x := extensionReader{r}
	for _, s := range m.enabled() {
		v := s.v.get(extensionKey)
		if x.service(v).Isolation == IsolationVM {
			r.add(v.get("isolation").at, "unsupported", "isolation: vm is not supported: virtual machines are not built yet", "")
		}
	}
	m.root.get("networks").each(func(_ string, v *value) { x.network(v.get(extensionKey)) })
}
