package image

import (
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// defaultPath is the PATH of images that have no configuration of their own.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func resolveDirectory(dir string) (Image, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Image{}, err
	}
	if !info.IsDir() {
		return Image{}, fmt.Errorf("%s is not a directory", dir)
	}
	img := plainImage(dir)
	img.Layers = []string{dir}
	return img, nil
}

// plainImage is an image without an author: a directory of this machine.
func plainImage(dir string) Image {
	return Image{
		Digest: digest.FromString(schemeRootfs + ":" + dir).String(),
		Config: v1.ImageConfig{Env: []string{defaultPath}},
	}
}
