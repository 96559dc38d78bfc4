package spec
import ("testing";"os";"math/rand/v2";"path/filepath";"strings";"gopkg.in/yaml.v3";"fmt")
func TestExplore(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	dir := t.TempDir()
	os.CopyFS(dir, os.DirFS("testdata/good"))
	seen := map[string]bool{}
	check := func(text string, err error) {
		if err == nil { return }
		for _, d := range err.(Diagnostics) {
			if (d.Rule == "compose" || d.Line == 0 && d.Rule != "file" || strings.Contains(d.Message,"internal")) && !seen[d.Message] {
				seen[d.Message]=true
				t.Errorf("%s\n%s", d.Message, text)
			}
		}
	}
	for range 6000 {
		parts, _ := filepath.Glob("testdata/good/parts/*.yaml")
		p := parts[rng.IntN(len(parts))]
		text := mutated(t, rng, p)
		target := filepath.Join(dir, "parts", filepath.Base(p))
		old, _ := os.ReadFile(target)
		os.WriteFile(target, []byte(text), 0644)
		for _, f := range []string{"extends.yaml","include.yaml"} {
			_, err := Load(t.Context(), Options{Files: []string{filepath.Join(dir,f)}, Environ: testEnviron})
			check(text, err)
		}
		os.WriteFile(target, old, 0644)
	}
	// swap values between two random nodes of one file
	files, _ := filepath.Glob("testdata/good/*.yaml")
	for range 15000 {
		f := files[rng.IntN(len(files))]
		b, _ := os.ReadFile(f)
		var doc yaml.Node
		yaml.Unmarshal(b, &doc)
		var vs []*yaml.Node
		collect(&doc, &vs)
		x, y := vs[rng.IntN(len(vs))], vs[rng.IntN(len(vs))]
		if x.Anchor != "" || y.Anchor != "" || x.Kind==yaml.AliasNode { continue }
		*x = *y
		out, err := yaml.Marshal(&doc)
		if err != nil { continue }
		text := fmt.Sprintf("# %s\n%s", f, out)
		hangs := make(chan bool,1)
		_ = hangs
		_, err = Load(t.Context(), Options{Files: []string{"-"}, Dir: "testdata/good", Project: "m", Stdin: strings.NewReader(text), Environ: testEnviron})
		check(text, err)
	}
}
