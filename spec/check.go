package spec

// rule is one thing that can be wrong with a stack: a pure function of the model
// (and of which files exist) that reports every occurrence.
type rule func(*model, *report)

// valueRules judge values by themselves; they make no sense before interpolation.
func valueRules() []rule {
	return []rule{
		checkPorts, checkDurations, checkSizes, checkNumbers, checkHealthcheck, checkRestart, checkUpdate,
		checkCapabilities, checkSecurityOpt, checkSignal, checkImageRef, checkNamespaces, checkDrivers, checkOptions,
		checkSubnets, checkMounts, checkEnvironment, checkCommands, checkHosts,
		checkModes, checkBooleans, checkObjectNames, checkExtension, checkMachines, checkWatch,
	}
}

// graphRules judge how the parts refer to each other.
func graphRules() []rule {
	return []rule{
		checkImage, checkJobs, checkServiceRefs, checkCycles, checkNetworks, checkVolumes, checkSecrets,
		checkContainerNames, checkPortConflicts, checkScale, checkExternal, checkSchedule, checkFileSources,
	}
}

// fileRules look for files that the used services need.
func fileRules() []rule { return []rule{checkEnvFiles, checkSourceFiles} }

// check runs the rules that o asks for.
func (m *model) check(r *report) {
	rules := []rule{checkSelection, checkSupport}
	if !m.opts.NoConsistency && !m.opts.NoInterpolate {
		rules = append(rules, valueRules()...)
		rules = append(rules, graphRules()...)
	}
	if !m.opts.NoEnvResolution && !m.opts.NoInterpolate {
		rules = append(rules, fileRules()...)
	}
	for _, rule := range rules {
		rule(m, r)
	}
}
