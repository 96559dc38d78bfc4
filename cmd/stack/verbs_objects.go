package main

import "github.com/spf13/cobra"

// objectVerbs are the verbs about what the machine holds.
func objectVerbs(a *app) []*cobra.Command {
	return []*cobra.Command{
		newPull(a), newPush(a), newLogin(a), newLogout(a),
		newLs(a), newConfig(a), newSchema(a), newEvents(a), newStats(a), newMetrics(a), newVolumes(a), newImages(a), newInspect(a), newDoctor(a),
		newContainer(a), newImage(a), newBuilder(a), newNetwork(a), newVolume(a), newVM(a),
	}
}
