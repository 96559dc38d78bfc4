// Package inspect shows containers, networks, volumes and images under Docker's
// keys, so that scripts written for `docker inspect` move over. It is pure: facts
// in, values for encoding/json and text/template out.
//
// It imports scheduler, netns, runtime/image and nothing else of ours. Contents of
// secrets and configs never reach it; environment variables are shown, as by
// Docker.
//
//	container.go  what `container inspect` prints; state, health, mounts
//	config.go     its Config: what came from image and service
//	host.go       its HostConfig: limits, privileges, namespaces
//	network.go    its NetworkSettings, and `network inspect`
//	volume.go, image.go
package inspect
