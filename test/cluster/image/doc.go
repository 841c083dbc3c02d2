// Package image makes container images of static binaries, with no registry
// and no builder: one layer, in the form `docker save` writes, which containerd
// imports.
//
//	manifest.json   [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
//	config.json     entrypoint, and the SHA-256 of layer.tar
//	layer.tar       the files
//
// Start reading at [Image].
package image
