package v2

import (
	"context"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
)

type handlers = map[engine.Operation]engine.Handler

func versionField() engine.Field {
	return engine.Field{Name: "version", Type: engine.Int, Query: true, Default: "0", Help: "Number of the version to read; 0 is the latest."}
}

// Routes implements engine.Engine.
func (*Engine) Routes() []engine.Route {
	routes := []engine.Route{configRoute(), dataRoute(), metadataRoute(), subkeysRoute()}
	routes = append(routes, versionRoutes()...)
	return append(routes, elsewhereRoute())
}

func configRoute() engine.Route {
	return engine.Route{
		Pattern:  "config",
		Handlers: handlers{engine.Read: readConfig, engine.Update: writeConfig},
		ReadOnly: true,
		Summary:  "Settings of the mount.",
		Help:     "Settings that hold for every secret of the mount. A write changes those it names.",
		Fields: []engine.Field{
			{Name: "max_versions", Type: engine.Int, Default: "0", Help: fmt.Sprintf("How many versions of a secret are kept, at most %d; 0 means %d. A secret's own setting counts if it is larger.", MaxVersions, DefaultVersions)},
			{Name: "cas_required", Type: engine.Bool, Default: "false", Help: "Whether every write must say which version it replaces."},
			{Name: "delete_version_after", Type: engine.Duration, Default: "0s", Help: "When a version is soft-deleted after it was written; 0 leaves it to the secret, a negative value turns it off for all."},
		},
	}
}

func dataRoute() engine.Route {
	return engine.Route{
		Pattern: "data/{path...}",
		Handlers: handlers{
			engine.Read: readData, engine.Create: writeData, engine.Update: writeData,
			engine.Patch: patchData, engine.Delete: deleteData,
		},
		Exists:   exists,
		ReadOnly: true,
		Summary:  "Read, write, patch and delete a secret.",
		Help: `A write makes a new version. A patch is a JSON merge patch (RFC 7396) on the latest one. A delete marks the latest
version as deleted; undelete brings it back, destroy removes its data for good. Reading a deleted version answers 404
with what is known of it.`,
		Fields: []engine.Field{
			versionField(),
			{Name: "data", Type: engine.Object, Secret: true, Help: "The secret: a JSON object, kept byte for byte."},
			{Name: "options", Type: engine.Object, Help: `Options of the write: {"cas": N} lets it happen only if N is the current version, 0 only if there is none.`},
		},
	}
}

func metadataRoute() engine.Route {
	return engine.Route{
		Pattern: "metadata/{path...}",
		Handlers: handlers{
			engine.Read: readMetadata, engine.Create: writeMetadata, engine.Update: writeMetadata,
			engine.Patch: patchMetadata, engine.Delete: deleteMetadata, engine.List: listMetadata,
		},
		Exists:   exists,
		ReadOnly: true,
		Summary:  "Versions and settings of a secret; list secrets.",
		Help: `Reading shows what versions there are, never their data. A write changes the settings it names; a patch also puts
back those that are null, and merges custom_metadata. Deleting removes the secret with all its versions for good.`,
		Fields: append([]engine.Field{
			{Name: "max_versions", Type: engine.Int, Default: "0", Help: fmt.Sprintf("How many versions are kept, at most %d; 0 leaves it to the mount.", MaxVersions)},
			{Name: "cas_required", Type: engine.Bool, Default: "false", Help: "Whether every write must say which version it replaces."},
			{Name: "delete_version_after", Type: engine.Duration, Default: "0s", Help: "When a version is soft-deleted after it was written; 0 or less leaves it to the mount, and more than the mount has no effect."},
			{Name: "custom_metadata", Type: engine.Map, Help: fmt.Sprintf("Up to %d names with values of the client's own. They are not secret.", maxCustom)},
			{Name: "metadata_cas_required", Type: engine.Bool, Default: "false", Help: "Whether every change of these settings must say which one it replaces."},
			{Name: "metadata_cas", Type: engine.Int, Help: "Lets the change happen only if this is the current_metadata_version."},
		}, keypath.Fields()...),
	}
}

func subkeysRoute() engine.Route {
	return engine.Route{
		Pattern:  "subkeys/{path...}",
		Handlers: handlers{engine.Read: readSubkeys},
		ReadOnly: true,
		Summary:  "The names in a secret, without its values.",
		Help:     "Answers with the structure of a version: every value that is not an object with members is null.",
		Fields: []engine.Field{
			versionField(),
			{Name: "depth", Type: engine.Int, Default: "0", Help: "How deep to look into objects; 0 is all the way."},
		},
	}
}

func versionRoutes() []engine.Route {
	route := func(name, summary, help string, apply func(*edit, *version) bool) engine.Route {
		return engine.Route{
			Pattern:  name + "/{path...}",
			Handlers: handlers{engine.Update: onVersions(name, apply)},
			Summary:  summary,
			Help:     help,
			Fields:   []engine.Field{{Name: "versions", Type: engine.Strings, Help: "Numbers of the versions; those that are not there are passed over."}},
		}
	}
	return []engine.Route{
		route("delete", "Soft-delete versions of a secret.", "The versions can no longer be read; their data stays until destroyed.", softDelete),
		route("undelete", "Bring soft-deleted versions back.", "What delete or delete_version_after did is undone; destroyed versions stay destroyed.", undelete),
		route("destroy", "Remove the data of versions for good.", "The versions stay listed as destroyed; their data is gone and cannot be brought back.", destroy),
	}
}

// elsewhereRoute catches requests made as if this were version 1.
func elsewhereRoute() engine.Route {
	return engine.Route{
		Pattern: "{path...}",
		Handlers: handlers{
			engine.Read: elsewhere, engine.Update: elsewhere, engine.Patch: elsewhere, engine.Delete: elsewhere, engine.List: elsewhere,
		},
		ReadOnly: true,
		Summary:  "No secrets are here: see data/ and metadata/.",
		Help:     "Paths of kv version 2 begin with config, data/, metadata/, subkeys/, delete/, undelete/ or destroy/.",
		Fields:   []engine.Field{{Name: engine.AnyField, Help: "Not looked at."}},
	}
}

func elsewhere(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	begin := "data/"
	if req.Operation == engine.List {
		begin = "metadata/"
	}
	return &engine.Response{Status: 404, Warnings: []string{fmt.Sprintf(
		"Invalid path for a versioned K/V secrets engine: the request must go to %[1]s%[2]sNAME, not %[1]sNAME. The command line's 'kv' subcommands do that by themselves.", req.Mount, begin)}}, nil
}
