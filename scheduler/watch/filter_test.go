package watch

import "testing"

func TestFilter(t *testing.T) {
	f, err := newFilter("/p/web", []Patterns{
		{Dir: "/p/web", Lines: []string{"node_modules/", "*.log", "/dist", "**/*.tmp", "vendor", "!vendor/ours"}},
		{Dir: "/p", Lines: []string{"web/secret", "other"}},
		{Dir: "/p/elsewhere", Lines: []string{"*"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ ignored, pruned bool }{
		".":                     {},
		"index.js":              {},
		"src/index.js":          {},
		"node_modules":          {true, true},
		"node_modules/a/b.js":   {true, true},
		"src/node_modules":      {},
		"debug.log":             {true, true},
		"src/debug.log":         {},
		"src/a.tmp":             {true, true},
		"dist":                  {true, true},
		"secret/key":            {true, true},
		"other":                 {},
		"vendor":                {true, false},
		"vendor/theirs":         {true, true},
		"vendor/ours/a.go":      {},
		".git":                  {true, true},
		"sub/.git/index":        {true, true},
		"4913":                  {true, true},
		".main.go.swp":          {true, true},
		"main.go~":              {true, true},
		".#main.go":             {true, true},
		"#main.go#":             {true, true},
		"main.go___jb_tmp___":   {true, true},
		".goutputstream-RX7ZA2": {true, true},
		".env":                  {},
		".gitignore":            {},
		"swap.swp":              {},
		"a#b":                   {},
		".github/workflows/x.y": {},
	} {
		if got := f.ignores(name, false); got != want.ignored {
			t.Errorf("ignores(%q) = %v", name, got)
		}
		if got := f.prunes(name, false); got != want.pruned {
			t.Errorf("prunes(%q) = %v", name, got)
		}
	}
}

func TestFilterInclude(t *testing.T) {
	f, err := newFilter("/p", nil, []string{"*.go", "web/**/*.css"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.go": true, "sub/a.go": false, "web/x/y.css": true, "y.css": false} {
		if got := f.includes(name); got != want {
			t.Errorf("includes(%q) = %v", name, got)
		}
	}
	if _, err := newFilter("/p", nil, []string{"[a"}); err == nil {
		t.Error("a broken pattern was taken")
	}
}
