// Package image finds root file systems: a reference of a stack file becomes an
// Image, layer directories on this machine plus the configuration that the image's
// author gave.
//
// References: rootfs:PATH (a directory; rootfs:/ is the host's own programs,
// copy-on-write), oci:PATH[:TAG] (an OCI image layout), docker-archive:FILE[:TAG]
// (what `docker save` writes), and from the Images issue on any registry
// reference. Like skopeo, the first colon after the scheme ends the path. It may
// import runtime. Layers are unpacked once, content-addressed, and shared.
//
//	reference ─ parseReference ─▶ layout or archive ─ manifest ─▶ ensureLayers ─ Apply ─▶ Image
//	                          └─▶ directory, host skeleton ────────────────────────────▶ Image
//	Image ─ openView ─▶ merged tree ─▶ CopyOut, LookupUser
//
// Everything read from an image is hostile: Apply writes by descriptor below the
// layer's own directory, and the merged view resolves every link inside the image.
package image
