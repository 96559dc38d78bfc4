package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestEveryRuleHasABadFile: each rule, asked alone, finds something in one of the
// bad files, and what it finds stands in that file's golden text.
func TestEveryRuleHasABadFile(t *testing.T) {
	triggered := map[string]bool{}
	files, _ := filepath.Glob("testdata/err/*.yaml")
	for _, f := range files {
		golden, err := os.ReadFile(strings.TrimSuffix(f, ".yaml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		j := prepare(badOptions(t, f), &report{})
		if j == nil {
			continue
		}
		for _, rule := range allRules() {
			alone := &report{}
			rule(j.model, alone)
			if slices.ContainsFunc(alone.list, func(d Diagnostic) bool {
				return strings.Contains(string(golden), strings.ReplaceAll(d.String(), abs(t, ".")+"/", ""))
			}) {
				triggered[ruleName(rule)] = true
			}
		}
	}
	written := rulesInFiles(t)
	for _, name := range written {
		if !triggered[name] {
			t.Errorf("no bad file triggers %s", name)
		}
	}
	for _, rule := range allRules() {
		if !slices.Contains(written, ruleName(rule)) {
			t.Errorf("%s stands in no check_*.go", ruleName(rule))
		}
	}
	if len(written) != len(allRules()) {
		t.Errorf("%d rules are written, %d are run", len(written), len(allRules()))
	}
}

func allRules() []rule {
	return slices.Concat([]rule{checkSelection, checkSupport}, valueRules(), graphRules(), fileRules())
}

func ruleName(r rule) string {
	name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

// rulesInFiles are the functions of check_*.go that are rules by their form.
func rulesInFiles(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob("check_*.go")
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && isRule(fn.Type) {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// isRule says that a function takes a *model and a *report, and gives nothing.
func isRule(f *ast.FuncType) bool {
	var types []string
	for _, p := range f.Params.List {
		star, ok := p.Type.(*ast.StarExpr)
		if !ok {
			return false
		}
		name, _ := star.X.(*ast.Ident)
		types = append(types, name.String())
	}
	return slices.Equal(types, []string{"model", "report"}) && f.Results == nil
}
