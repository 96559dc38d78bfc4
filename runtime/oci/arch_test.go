package oci

import "runtime"

const runtimeIsAMD64 = runtime.GOARCH == "amd64"
