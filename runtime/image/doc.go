// Package image keeps images: a reference of a stack file becomes an Image, layer
// directories on this machine plus the configuration that the image's author gave.
//
// References: rootfs:PATH (a directory; rootfs:/ is the host's own programs,
// copy-on-write), oci:PATH[:TAG] (an OCI image layout), docker-archive:FILE[:TAG]
// (what `docker save` writes), sha256:HEX (an image of the store) and otherwise a
// registry's. Like skopeo, the first colon after the scheme ends the path. It may
// import runtime, runtime/flock and its own sub-packages. Layers are unpacked once,
// content-addressed, and shared.
//
//	registry ── Pull ─▶ blobs ─┬─▶ ensureLayers ─ Apply ─▶ layers, record
//	archive ─── Load ─▶ blobs ─┤
//	tar ─────── Import ▶ blobs ┘       blobs ─▶ Push ─▶ registry
//	                                   blobs ─▶ Save ─▶ archive
//	reference ─ Resolve ─┬─ record ─────────────────────────────────────────▶ Image
//	                     ├─ layout or archive ─ manifest ─ ensureLayers ────▶ Image
//	                     └─ directory, host skeleton ───────────────────────▶ Image
//	Image ─ openView ─▶ merged tree ─▶ CopyOut, LookupUser
//
// Resolve never fetches: commands of people pull, the controller only looks. That
// keeps passwords, TLS and retries out of processes that live long.
//
// There is no database: files appear by rename, flocks keep processes apart (see
// Store), and blobs lie as containerd's content store and OCI layouts have them. A
// killed process leaves at most a half-fetched blob, which the next pull completes.
// After a power failure a layer may lack what the kernel had not written yet.
//
// Everything read from an image, an archive or a registry is hostile: Apply writes by
// descriptor below the layer's own directory, the merged view resolves every link
// inside the image, names come from people only, and nothing is believed without its
// digest.
package image
