package build_test

import "slices"

// peerDifference is where buildah (1.28, Debian 12's) makes of a Dockerfile what we do
// not, for a reason of its own.
type peerDifference struct {
	why     string
	refuses string   // what it says, if it builds none
	lines   []string // else what differs
}

// runLeaves is how many mount points of a RUN step buildah leaves in an image where
// there was nothing.
const runLeaves = 4

func leftByRun(difference string) bool {
	return slices.Contains([]string{
		`/etc/hostname/: stack [] buildah [100755 0:0 0 ""]`,
		`/etc/hosts/: stack [] buildah [100755 0:0 0 ""]`,
		`/etc/resolv.conf/: stack [] buildah [100755 0:0 0 ""]`,
		`/run/: stack [] buildah [40755 0:0]`,
	}, difference)
}

// buildahDiffers is checked to be all: a case that is not here has to agree, and one
// that is here has to differ in just that.
func buildahDiffers() map[string]peerDifference {
	flags := func(why string) peerDifference {
		return peerDifference{why: why, refuses: "COPY only supports the --chmod=<permissions> --chown=<uid:gid> and the --from=<image|stage> flags"}
	}
	scratch := peerDifference{
		why:   "BuildKit begins FROM scratch in /, buildah in nothing, which means the same",
		lines: []string{`WorkingDir: stack [/] buildah []`},
	}
	return map[string]peerDifference{
		"copy_exclude": flags("it has no COPY --exclude"),
		"copy_link":    flags("it has no COPY --link"),
		"copy_parents": flags("it has no COPY --parents"),
		"copy_chmod":   {why: "it knows modes in octal only", refuses: "Error parsing chmod u=rwX,go=r"},
		"copy_heredoc": {why: "it has no here-documents before 1.33", refuses: `"/<<A": no such file or directory`},
		"run_heredoc":  {why: "it has no here-documents before 1.33", refuses: `Unknown instruction: "ECHO"`},
		"run_network_none": {
			why: "it has no RUN --network", refuses: "RUN only supports the --mount flag",
		},
		"mount_tmpfs":     {why: "it does not know the Dockerfile's name of a tmpfs' size", refuses: "size: invalid mount option"},
		"from_scratch":    scratch,
		"copy_from_image": scratch,
		"copy_from_stage": scratch,
		"shell": {
			why:   "it takes SHELL for RUN, but not for CMD",
			lines: []string{`Cmd: stack [["/bin/busybox" "echo" "x"]] buildah [["/bin/sh" "-c" "x"]]`},
		},
		"onbuild": {
			why: "/run, which it leaves, is in the list that the step makes",
			lines: []string{
				`/list/: stack [100644 0:0 55 "bin\ndev\netc\ngiven\nhome\nlist\nproc\nread\nroot\nsys\ntmp\nusr\n"]` +
					` buildah [100644 0:0 59 "bin\ndev\netc\ngiven\nhome\nlist\nproc\nread\nroot\nrun\nsys\ntmp\nusr\n"]`,
			},
		},
		"mount_secret": {
			why: "it leaves /run/secrets",
			lines: []string{
				`/b/: stack [100644 0:0 44 "ls: /run/secrets: No such file or directory\n"] buildah [100644 0:0 0 ""]`,
				`/run/secrets/: stack [] buildah [40755 0:0]`,
			},
		},
		"mount_bind": {
			why: "what a step writes into a bind of the context lasts, in the user's own directory even",
			lines: []string{
				`/d/: stack [100644 0:0 26 "Dockerfile\nfile\nread-only\n"] buildah [100644 0:0 30 "Dockerfile\nfile\nnew\nread-only\n"]`,
			},
		},
	}
}
