package spec

// checkExtension: what x-stack says makes sense and can be had. Its form is the
// schema's to judge, whether a key does anything the table of support's. Other
// x-* keys belong to the user, as in Compose.
func checkExtension(m *model, r *report) {
	x := extensionReader{r}
	for _, s := range m.enabled() {
		v := s.v.get(extensionKey)
		own := x.service(v)
		if mode := s.v.get("network_mode").text(); own.Bandwidth != (Bandwidth{}) && mode != "" && mode != "bridge" && mode != "default" {
			r.addf(v.get("bandwidth").named(), "extension", "bandwidth has nothing to limit: with network_mode: %s the service has no interface of its own", mode)
		}
		if check := s.v.get("healthcheck"); own.Probe != nil && check != nil && !check.get("disable").truth() {
			r.addf(v.get("probe").named(), "exclusive", "service %q has both healthcheck and x-stack.probe", s.name)
		}
	}
	m.root.get("networks").each(func(_ string, v *value) {
		own := v.get(extensionKey)
		if limit := x.network(own).Bandwidth; limit != (Bandwidth{}) && v.get("external").truth() {
			r.add(own.get("bandwidth").named(), "extension", "an external network has the limits of the stack that made it", "limit the services instead")
		}
	})
}
