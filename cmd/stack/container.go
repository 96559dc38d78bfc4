package main

import "github.com/spf13/cobra"

// newContainer groups the verbs about single containers of any project.
func newContainer(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "container", Short: "Look at and change single containers of any project"}
	cmd.AddCommand(newContainerLs(a), newContainerInspect(a), newContainerRm(a), newContainerPrune(a),
		newContainerExec(a), newContainerLogs(a), newContainerTop(a), newContainerPort(a), newContainerWait(a), newContainerCp(a),
		newContainerExport(a), newContainerCommit(a))
	cmd.AddCommand(containerLifecycle(a)...)
	return cmd
}
