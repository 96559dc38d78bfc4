package infer

import (
	"path"
	"slices"
	"strings"
)

// followsFiles reports whether a command is known to see changed files by itself.
func followsFiles(command []string) bool {
	var words []string
	for _, arg := range command {
		words = append(words, strings.Fields(arg)...) // a shell's command is one argument
	}
	for n, w := range words {
		name, _, _ := strings.Cut(w, "=")
		switch name {
		case "--watch", "--reload", "--hot", "--livereload", "runserver", "dev":
			return true
		case "--debug":
			return slices.ContainsFunc(words[:n], func(w string) bool { return path.Base(w) == "flask" })
		}
		switch path.Base(w) {
		case "nodemon", "vite", "air", "watchexec", "watchmedo", "entr", "live-server", "webpack-dev-server", "ts-node-dev":
			return true
		}
	}
	return false
}
