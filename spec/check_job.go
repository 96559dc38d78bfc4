package spec

// checkJobs: a job and a service cannot have one name, since depends_on and `run`
// name either.
func checkJobs(m *model, r *report) {
	services := m.root.get("services")
	for _, job := range m.jobs {
		if same := services.get(job.name); same != nil {
			r.addf(job.v.named(), "duplicate-name", "%q is a job and a service (%s): one name means one of them",
				job.name, same.named().seenFrom(job.v.named()))
		}
	}
}
