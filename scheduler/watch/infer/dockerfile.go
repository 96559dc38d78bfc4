package infer

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"stack/scheduler/watch"
)

// recipe is a Dockerfile, read.
type recipe struct {
	file   string // "" when it stands in the stack file
	stages []instructions.Stage
	lex    *shell.Lex
	args   types.MappingWithEquals // the build's
	global map[string]string       // values of ARGs before the first stage
}

// build are the rules for what the service's image is made of. There are none for
// contexts that are elsewhere.
func (in *inference) build() ([]Rule, error) {
	b := in.service.Build
	if b == nil || !filepath.IsAbs(b.Context) {
		return nil, nil
	}
	r, err := readRecipe(b)
	if err != nil {
		return nil, err
	}
	chain, err := r.chain(b.Target)
	if err != nil {
		return nil, err
	}
	t := &trace{in: in, recipe: r, context: b.Context}
	if len(in.command) == 0 {
		in.command = programOf(chain)
	}
	t.final(chain)
	return append(t.rules, in.recipeFiles(r)...), nil
}

// recipeFiles are those that say how to build.
func (in *inference) recipeFiles(r *recipe) []Rule {
	var out []Rule
	for _, file := range []string{r.file, r.file + ".dockerignore", filepath.Join(in.service.Build.Context, ".dockerignore")} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && r.file != "" {
			out = append(out, Rule{Why: "how the image is built", Recipe: true, Trigger: types.Trigger{Path: file, Action: types.WatchActionRebuild}})
		}
	}
	return out
}

func readRecipe(b *types.BuildConfig) (*recipe, error) {
	r := &recipe{args: b.Args, global: map[string]string{}}
	var text io.Reader = strings.NewReader(b.DockerfileInline)
	if b.DockerfileInline == "" {
		r.file = b.Dockerfile
		if r.file == "" {
			r.file = "Dockerfile"
		}
		if !filepath.IsAbs(r.file) {
			r.file = filepath.Join(b.Context, r.file)
		}
		f, err := watch.OpenRules(r.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		text = f
	}
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", r.name(), err)
	}
	stages, args, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", r.name(), err)
	}
	r.stages, r.lex = stages, shell.NewLex(tree.EscapeToken)
	for _, a := range args {
		r.argument(&a, r.global)
	}
	return r, nil
}

func (r *recipe) name() string {
	if r.file == "" {
		return "dockerfile_inline"
	}
	return filepath.Base(r.file)
}

// argument gives env the values of an ARG instruction.
func (r *recipe) argument(a *instructions.ArgCommand, env map[string]string) {
	for _, kv := range a.Args {
		if given := r.args[kv.Key]; given != nil {
			env[kv.Key] = *given
		} else if kv.Value != nil {
			env[kv.Key] = r.expand(*kv.Value, env)
		} else if v, ok := r.global[kv.Key]; ok {
			env[kv.Key] = v
		}
	}
}

// expand replaces variables; what cannot be expanded stays as it is.
func (r *recipe) expand(word string, env map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	out, _, err := r.lex.ProcessWord(word, shell.EnvsFromSlice(list))
	if err != nil {
		return word
	}
	return out
}

// stage is the index of an earlier stage by its name or number; -1 for none.
func (r *recipe) stage(name string, before int) int {
	for n := before - 1; n >= 0; n-- {
		if strings.EqualFold(r.stages[n].Name, name) {
			return n
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < before {
		return n
	}
	return -1
}

// chain are the indices of the stages that the target is made of, the first one
// first.
func (r *recipe) chain(target string) ([]stage, error) {
	n := len(r.stages) - 1
	if target != "" {
		if n = r.stage(target, len(r.stages)); n < 0 {
			return nil, fmt.Errorf("%s has no stage %q", r.name(), target)
		}
	}
	if n < 0 {
		return nil, fmt.Errorf("%s has no stage", r.name())
	}
	return r.upTo(n), nil
}

// stage is one with its number.
type stage struct {
	instructions.Stage
	number int
}

func (r *recipe) upTo(n int) []stage {
	var out []stage
	for n >= 0 {
		out = append(out, stage{r.stages[n], n})
		n = r.stage(r.expand(r.stages[n].BaseName, r.global), n)
	}
	slices.Reverse(out)
	return out
}

// programOf is what the image runs by itself.
func programOf(chain []stage) []string {
	var entry, cmd []string
	for _, s := range chain {
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.EntrypointCommand:
				entry, cmd = c.CmdLine, nil
			case *instructions.CmdCommand:
				cmd = c.CmdLine
			}
		}
	}
	return slices.Concat(entry, cmd)
}
