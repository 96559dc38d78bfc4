package spec

import (
	"os"
	"path/filepath"
	"testing"
)

// ProjectName is Load's, whatever else is wrong in the files, and an error where the
// name cannot be known: the directory's would be another project's.
func TestProjectName(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"written", "name: shop\nservices: {web: {image: x}}\n", "shop"},
		{"interpolated", "name: shop-${STAGE}\nservices: {web: {image: x}}\n", "shop-test"},
		{"last of several", "name: one\nservices: {web: {image: x}}\n---\nname: two\n", "two"},
		{"directory's", "services: {web: {image: x}}\n", "dir"},
		{"in a file with mistakes", "name: shop\nservices: {web: {imagge: x}}\n", "shop"},
		{"in a file that is no YAML", "name: shop\nservices: {web: [\n", ""},
		{"broken later", "services: {}\n---\n}\nname: other\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "stack.yaml"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			o := Options{Dir: dir, Environ: []string{"STAGE=test"}, NoEnvResolution: true}
			got, err := ProjectName(o)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if st, err := Load(t.Context(), o); err == nil && st.Name != got {
				t.Errorf("Load says %q, ProjectName %q", st.Name, got)
			}
			if o.Project = "given"; c.want != "" {
				if got, err := ProjectName(o); got != "given" || err != nil {
					t.Errorf("with -p given: %q, %v", got, err)
				}
			}
		})
	}
}
