//! The crate's modules, and which file defines what a path names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::syntax::{CodePath, ModuleSyntax};

/// The library's name, by which the program calls it.
const LIBRARY: &str = "otto_handler";

/// Re-exports of re-exports, and globs of globs, are followed so far.
const MAX_DEPTH: usize = 16;

type FileId = usize;
type ModuleId = usize;

/// Source files with their paths below `src`, by `/`.
pub(super) type Sources = BTreeMap<String, String>;

/// All modules of the sources.
pub(super) struct Modules {
    pub(super) files: Vec<String>,
    modules: Vec<Module>,
    library: ModuleId,
}

struct Module {
    file: FileId,
    root: ModuleId,
    parent: Option<ModuleId>,
    children: BTreeMap<String, ModuleId>,
    types: BTreeSet<String>,
    values: BTreeSet<String>,
    syntax: ModuleSyntax,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Something that this file defines.
    Item(FileId),
    Module(ModuleId),
}

/// Reads every file of a folder.
pub(super) fn read(folder: &Path) -> Sources {
    let mut sources = Sources::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

impl Modules {
    /// Those that `lib.rs` and `main.rs` reach. Test modules are left out.
    pub(super) fn parse(sources: &Sources) -> Self {
        let mut all = Self { files: Vec::new(), modules: Vec::new(), library: 0 };
        for root in ["lib.rs", "main.rs"] {
            if sources.contains_key(root) {
                all.add_file(sources, root, None);
            }
        }
        all
    }

    fn add_file(&mut self, sources: &Sources, file: &str, parent: Option<ModuleId>) -> ModuleId {
        let text = &sources[file];
        let syntax = ModuleSyntax::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.files.push(file.to_owned());
        let folder = match file.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            Some(_) => format!("{}/", file.trim_end_matches(".rs")),
            None if matches!(file, "lib.rs" | "main.rs") => String::new(),
            None => format!("{}/", file.trim_end_matches(".rs")),
        };
        self.add_module(sources, syntax, (self.files.len() - 1, &folder), parent)
    }

    fn add_module(
        &mut self,
        sources: &Sources,
        mut syntax: ModuleSyntax,
        (file, folder): (FileId, &str),
        parent: Option<ModuleId>,
    ) -> ModuleId {
        let id = self.modules.len();
        let root = parent.map_or(id, |parent| self.modules[parent].root);
        let (files, inline) =
            (std::mem::take(&mut syntax.files), std::mem::take(&mut syntax.inline));
        let types = syntax.types.iter().cloned().collect();
        let values = syntax.values.iter().cloned().collect();
        let children = BTreeMap::new();
        self.modules.push(Module { file, root, parent, children, types, values, syntax });
        for name in files {
            let paths = [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")];
            let path = paths.iter().find(|path| sources.contains_key(*path));
            let path = path.unwrap_or_else(|| panic!("neither {} nor {}", paths[0], paths[1]));
            let child = self.add_file(sources, path, Some(id));
            self.modules[id].children.insert(name, child);
        }
        for (name, syntax) in inline {
            let below = format!("{folder}{name}/");
            let child = self.add_module(sources, syntax, (file, &below), Some(id));
            self.modules[id].children.insert(name, child);
        }
        id
    }

    /// Which file imports from which, by what they define, not by where it is re-exported.
    pub(super) fn edges(&self) -> BTreeSet<(FileId, FileId)> {
        let mut edges = BTreeSet::new();
        for (id, module) in self.modules.iter().enumerate() {
            for used in self.used(id) {
                if used != module.file {
                    edges.insert((module.file, used));
                }
            }
        }
        edges
    }

    fn used(&self, id: ModuleId) -> impl Iterator<Item = FileId> {
        let syntax = &self.modules[id].syntax;
        let imports = syntax.imports.iter().filter(|import| !import.is_reexport);
        let imported = imports.filter_map(move |import| {
            match self.resolve(id, &import.path, MAX_DEPTH)? {
                Named::Item(file) => Some(file),
                // A glob may bring in methods that no path shows.
                Named::Module(module) if import.name.is_none() => Some(self.modules[module].file),
                Named::Module(_) => None,
            }
        });
        let named = syntax.paths.iter().filter_map(move |path| {
            match self.resolve(id, path, MAX_DEPTH)? {
                Named::Item(file) => Some(file),
                Named::Module(_) => None,
            }
        });
        imported.chain(named)
    }

    /// The crates that each file names.
    pub(super) fn externals(&self) -> BTreeSet<(FileId, &str)> {
        let mut found = BTreeSet::new();
        for (id, module) in self.modules.iter().enumerate() {
            let imports = module.syntax.imports.iter().map(|import| &import.path);
            let paths = module.syntax.paths.iter().filter(|path| path.parts.len() > 1);
            for path in imports.chain(paths) {
                let Some(first) = path.parts.first() else { continue };
                let is_ours = !path.names_a_crate && self.start(id, path, MAX_DEPTH).is_some();
                if !is_ours {
                    found.insert((module.file, first.as_str()));
                }
            }
        }
        found
    }

    /// What `path` in module `id` names; `None` where it leads out of the crate.
    fn resolve(&self, id: ModuleId, path: &CodePath, depth: usize) -> Option<Named> {
        let depth = depth.checked_sub(1)?;
        let (mut named, used) = self.start(id, path, depth)?;
        for (at, name) in path.parts.iter().enumerate().skip(used) {
            let Named::Module(module) = named else { break };
            let is_last = at + 1 == path.parts.len();
            // A macro may have made it; then the module's own file has it.
            let unknown = Named::Item(self.modules[module].file);
            named = match name.as_str() {
                "super" => Named::Module(self.modules[module].parent?),
                _ => self.lookup(module, name, is_last, depth).unwrap_or(unknown),
            };
        }
        Some(named)
    }

    /// What a path's first part names, and how many parts that takes.
    fn start(&self, id: ModuleId, path: &CodePath, depth: usize) -> Option<(Named, usize)> {
        if path.names_a_crate {
            return None;
        }
        let module = &self.modules[id];
        let first = path.parts.first()?;
        let named = match first.as_str() {
            "crate" => Named::Module(module.root),
            "self" => Named::Module(id),
            "super" => Named::Module(module.parent?),
            LIBRARY if module.root != self.library => Named::Module(self.library),
            name => self.lookup(id, name, path.parts.len() == 1, depth)?,
        };
        Some((named, 1))
    }

    /// What `name` is in a module; a module before an item where the path goes on after it.
    fn lookup(&self, id: ModuleId, name: &str, is_last: bool, depth: usize) -> Option<Named> {
        let depth = depth.checked_sub(1)?;
        let module = &self.modules[id];
        let child = module.children.get(name).map(|&child| Named::Module(child));
        let is_own = module.types.contains(name) || (is_last && module.values.contains(name));
        let own = is_own.then_some(Named::Item(module.file));
        let imports = module.syntax.imports.iter();
        let same = imports.filter(|import| import.name.as_deref() == Some(name));
        let imported = same.filter_map(|import| self.resolve(id, &import.path, depth));
        let mut all: Vec<Named> = child.into_iter().chain(own).chain(imported).collect();
        all.sort_by_key(|named| matches!(named, Named::Module(_)) == is_last);
        all.first().copied().or_else(|| self.lookup_in_globs(id, name, is_last, depth))
    }

    fn lookup_in_globs(
        &self,
        id: ModuleId,
        name: &str,
        is_last: bool,
        depth: usize,
    ) -> Option<Named> {
        let imports = self.modules[id].syntax.imports.iter();
        let globs = imports.filter(|import| import.name.is_none());
        let mut modules = globs.filter_map(|glob| match self.resolve(id, &glob.path, depth)? {
            Named::Module(module) if module != id => Some(module),
            _ => None,
        });
        modules.find_map(|module| self.lookup(module, name, is_last, depth))
    }
}
