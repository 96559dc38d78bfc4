package main

import "github.com/spf13/cobra"

// processVerbs are the verbs about programs in containers.
func processVerbs(a *app) []*cobra.Command {
	return []*cobra.Command{
		newExec(a), newRun(a), newAttach(a), newTop(a), newPort(a), newWait(a),
		newCp(a), newExport(a), newCommit(a), newRm(a), newCreate(a), newScale(a), newWatch(a), newOCI(), newOCIEvents(),
	}
}
