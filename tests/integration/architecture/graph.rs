//! Who imports from whom: circles, and a picture.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use super::crates::{Modules, Sources};

/// Imports between files, by their paths below `src`.
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn of(sources: &Sources) -> Self {
        let modules = Modules::parse(sources);
        let name = |file: usize| modules.files[file].clone();
        let mut edges = BTreeMap::<_, BTreeSet<_>>::new();
        edges.extend(modules.files.iter().map(|file| (file.clone(), BTreeSet::new())));
        for (from, to) in modules.edges() {
            edges.entry(name(from)).or_default().insert(name(to));
        }
        Self { edges }
    }

    /// Every import, as importer and imported.
    pub(super) fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.edges.iter().flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
    }

    /// The shortest circle through each import that lies on one, each circle once:
    /// `a -> b -> a`.
    pub(super) fn circles(&self) -> BTreeSet<String> {
        let circles = self.edges().filter_map(|(from, to)| {
            let mut circle = self.shortest_way(to, from)?;
            // One circle is found from each of its files; it is shown from its first in the alphabet.
            let first = (0..circle.len()).min_by_key(|&at| circle[at])?;
            circle.rotate_left(first);
            circle.push(circle[0]);
            Some(circle.join(" -> "))
        });
        circles.collect()
    }

    fn shortest_way<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut before = BTreeMap::from([(from, None)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            if at == to {
                let mut way: Vec<&str> = std::iter::successors(Some(at), |at| before[at]).collect();
                way.reverse();
                return Some(way);
            }
            for used in &self.edges[at] {
                if !before.contains_key(used.as_str()) {
                    before.insert(used, Some(at));
                    next.push_back(used);
                }
            }
        }
        None
    }

    /// The graph in the language of graphviz, a box per folder.
    pub(super) fn dot(&self) -> String {
        let mut out = String::from("digraph imports {\n  rankdir=LR;\n  node [shape=box];\n");
        let mut folders = BTreeMap::<&str, Vec<&str>>::new();
        for file in self.edges.keys() {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            folders.entry(folder).or_default().push(file);
        }
        for (folder, files) in folders {
            let _ = writeln!(out, "  subgraph \"cluster_{folder}\" {{ label=\"{folder}\";");
            for file in files {
                let label = file.rsplit('/').next().unwrap_or(file);
                let _ = writeln!(out, "    \"{file}\" [label=\"{label}\"];");
            }
            out.push_str("  }\n");
        }
        for (from, to) in self.edges() {
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\";");
        }
        out.push_str("}\n");
        out
    }
}
