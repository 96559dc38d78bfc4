package main

import "github.com/spf13/cobra"

// verbs lists every verb in the order of the help text.
func verbs(a *app) []*cobra.Command {
	list := []*cobra.Command{
		newUp(a), newDown(a), newBuild(a), newPlan(a), newWhy(a), newRollback(a), newRevisions(a), newPs(a), newLogs(a),
		newStart(a), newStop(a), newRestart(a), newKill(a), newPause(a), newUnpause(a),
		newEnable(a), newDisable(a), newVersion(a), newController(a), newLiveLoad(a), newBoot(a),
	}
	list = append(list, processVerbs(a)...)
	return append(list, objectVerbs(a)...)
}
