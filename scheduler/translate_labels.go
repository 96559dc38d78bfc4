package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
)

// AnnotationInit tells the runtime to run the program below a reaping init.
const AnnotationInit = "stack.init"

// labels are, each overriding the one before: the image's, the service's,
// Compose's own. The annotations leave out the image's labels, whose author must
// not speak to a runtime that reads annotations, and anything that pretends to
// be ours.
func (t *translator) labels() error {
	own := t.composeLabels()
	t.out.Labels = map[string]string{}
	maps.Copy(t.out.Labels, t.in.Image.Config.Labels)
	annotations := map[string]string{}
	for _, labels := range []map[string]string{t.s.Labels, t.s.CustomLabels} {
		maps.Copy(t.out.Labels, labels)
		maps.Copy(annotations, labels)
	}
	maps.Copy(t.out.Labels, own)
	maps.Copy(annotations, t.s.Annotations)
	maps.DeleteFunc(annotations, func(k, _ string) bool { return strings.HasPrefix(k, "stack.") })
	maps.Copy(annotations, own)
	if t.s.Init != nil && *t.s.Init {
		annotations[AnnotationInit] = "true"
	}
	t.spec.Annotations = annotations
	return nil
}

func (t *translator) composeLabels() map[string]string {
	labels := ComposeLabels(t.in.Project, t.s, t.in.Image, t.in.Instance)
	labels["com.docker.compose.config-hash"] = t.in.ConfigHash
	labels["com.docker.compose.version"] = t.in.Version
	return labels
}

// ComposeLabels are the labels by which scripts written for Docker Compose find a
// container, without config-hash and version.
func ComposeLabels(p *types.Project, s types.ServiceConfig, img image.Image, i Identity) map[string]string {
	oneOff := "False"
	if i.OneOff {
		oneOff = "True"
	}
	return map[string]string{
		"com.docker.compose.project":              p.Name,
		"com.docker.compose.service":              s.Name,
		"com.docker.compose.container-number":     strconv.Itoa(max(1, i.Number)),
		"com.docker.compose.oneoff":               oneOff,
		"com.docker.compose.image":                img.Digest,
		"com.docker.compose.depends_on":           dependsOnLabel(s),
		"com.docker.compose.project.working_dir":  p.WorkingDir,
		"com.docker.compose.project.config_files": strings.Join(p.ComposeFiles, ","),
	}
}

// dependsOnLabel is "db:service_healthy:false,cache:service_started:true".
func dependsOnLabel(s types.ServiceConfig) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		parts = append(parts, fmt.Sprintf("%s:%s:%t", name, cmp.Or(d.Condition, types.ServiceConditionStarted), d.Restart))
	}
	return strings.Join(parts, ",")
}
