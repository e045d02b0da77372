//! No circle of modules: whoever reads a file can read the files that it uses first, and is then done.
//!
//! A file uses another one if a path in its code leads there. Paths begin with `crate`, `super`, `self` or
//! the name of a child module, and are followed through `pub use` to the file that defines the item. A `pub
//! use` is a use as well, so a child of a `mod.rs` that re-exports the child cannot use what that `mod.rs`
//! defines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One module that is a file.
struct Module<'a> {
    file: &'a str,
    /// Every path in its code, as written.
    paths: Vec<String>,
    /// The paths of its `use` items by the name that each gives.
    names: BTreeMap<String, String>,
}

/// The modules of a crate by path, `queue::list` for example; the path of the root is empty.
type Modules<'a> = BTreeMap<String, Module<'a>>;

/// The modules that each module uses.
type Uses<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The shortest circle through each file, once, as `a.rs -> b.rs -> a.rs`.
///
/// `files` are the texts of one crate by path from `src/`. Files of tests are ignored, and so is `main.rs`,
/// which is a crate of its own.
pub(super) fn circles(files: &BTreeMap<String, String>) -> Vec<String> {
    let modules: Modules = files
        .iter()
        .filter(|(file, _)| !file.contains("tests") && *file != "main.rs")
        .map(|(file, text)| (module_path(file), Module::read(file, text)))
        .collect();
    let mut uses = Uses::new();
    for (name, module) in &modules {
        let paths = module.paths.iter();
        let used = paths.filter_map(|path| resolve(&modules, name, path, 0));
        uses.insert(name, used.filter(|it| it != name).collect());
    }
    let mut circles = BTreeMap::new();
    for name in modules.keys() {
        if let Some(circle) = shortest_circle(&uses, name) {
            let members: BTreeSet<_> = circle.iter().copied().collect();
            let files: Vec<_> = circle.iter().map(|name| modules[*name].file).collect();
            // The same circle is found again from each of its files.
            circles.entry(members).or_insert(files.join(" -> "));
        }
    }
    circles.into_values().collect()
}

fn shortest_circle<'a>(uses: &Uses<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut waiting = VecDeque::from([vec![start]]);
    while let Some(path) = waiting.pop_front() {
        for &used in &uses[path[path.len() - 1]] {
            let longer = [&path[..], &[used]].concat();
            if used == start {
                return Some(longer);
            }
            if seen.insert(used) {
                waiting.push_back(longer);
            }
        }
    }
    None
}

/// The module that defines the item of this path; `None` if that is in another crate.
fn resolve<'a>(modules: &'a Modules, from: &str, path: &str, depth: usize) -> Option<&'a str> {
    let child = |module: &str, name: &str| format!("{module}::{name}").trim_matches(':').to_owned();
    let mut at = from.to_owned();
    for (place, part) in path.split("::").enumerate() {
        let inner = child(&at, part);
        match part {
            "crate" => at.clear(),
            "self" => {}
            "super" => at.truncate(at.rfind("::").unwrap_or(0)),
            _ if modules.contains_key(&inner) => at = inner,
            // The path begins with the name of a crate, or of an item in scope.
            _ if place == 0 => return None,
            _ => {
                // Eight re-exports in a row are none of ours: the bound ends names that lead to themselves.
                let used = modules.get(&at)?.names.get(part).filter(|_| depth < 8);
                let defined = used.and_then(|path| resolve(modules, &at, path, depth + 1));
                return defined.or_else(|| modules.get_key_value(&at).map(|(name, _)| &**name));
            }
        }
    }
    modules.get_key_value(&at).map(|(name, _)| &**name)
}

impl<'a> Module<'a> {
    fn read(file: &'a str, text: &str) -> Self {
        let (mut paths, mut names) = (Vec::new(), BTreeMap::new());
        for statement in shipped_code(text).split(';') {
            let (code, tree) = match statement.rsplit_once("use ") {
                Some((code, tree)) if code.ends_with([' ', '\n']) => (code, tree),
                _ => (statement, ""),
            };
            for path in expand("", tree) {
                let (path, alias) = path.split_once(" as ").unwrap_or((&path, ""));
                let path = path.trim_end_matches("::self");
                let last = path.rsplit("::").next().unwrap_or_default();
                let name = if alias.is_empty() { last } else { alias };
                names.insert(name.to_owned(), path.to_owned());
                paths.push(path.to_owned());
            }
            let words = code.split(|c: char| !c.is_alphanumeric() && !"_:$".contains(c));
            paths.extend(words.filter(|it| it.contains("::")).map(ToOwned::to_owned));
        }
        Self { file, paths, names }
    }
}

/// The paths of a `use` tree: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn expand(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    if tree.is_empty() {
        return Vec::new();
    }
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![format!("{prefix}{tree}")];
    };
    let (prefix, mut depth) = (format!("{prefix}{head}"), 0);
    let parts = rest.trim_end_matches('}').split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.flat_map(|part| expand(&prefix, part)).collect()
}

/// The code without comments and test modules, of a file that rustfmt wrote: an item ends at the first line
/// of its own indentation that ends in `;` or `}`.
fn shipped_code(text: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let (mut code, mut lines) = (String::from("\n"), text.lines());
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let ends = |it: &&str| indentation(it) == indentation(line) && it.ends_with([';', '}']);
            lines.find(ends);
        } else {
            code += line.split("//").next().unwrap_or_default();
            code.push('\n');
        }
    }
    code
}

fn module_path(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    String::from(if path == "lib" { "" } else { path }).replace('/', "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[[&str; 2]], expected: &[&str]) {
        let files = files.iter().map(|file| file.map(ToOwned::to_owned).into());
        assert_eq!(circles(&files.collect()), expected);
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let a = ["a.rs", "use crate::b::B;\n"];
        let b = ["b.rs", "fn f() { crate::a::g() }"];
        check(&[a, b], &["a.rs -> b.rs -> a.rs"]);
        check(&[a, ["b.rs", "use std::a::A;\n// crate::a::g\n"]], &[]);
    }

    #[test]
    fn a_circle_leads_through_lists_of_imports_and_children() {
        let a = ["a.rs", "use crate::{\n    b::{self, X},\n    e::Y,\n};\n"];
        let b = ["b/mod.rs", "mod c;\npub(crate) use c::Z;\n"];
        let c = ["b/c.rs", "pub struct Z(super::super::d::Y);\n"];
        let d = ["d.rs", "use super::a::A;\n"];
        check(
            &[a, b, c, d],
            &["a.rs -> b/mod.rs -> b/c.rs -> d.rs -> a.rs"],
        );
    }

    #[test]
    fn a_re_exported_item_is_the_module_s_that_defines_it() {
        let (a, b) = (["a.rs", "use crate::B;\n"], ["b.rs", "struct B;"]);
        check(&[["lib.rs", "pub use a::A;\npub use b::B;\n"], a, b], &[]);
        let root = ["lib.rs", "pub use a::A;\npub struct B;\n"];
        check(&[root, a], &["lib.rs -> a.rs -> lib.rs"]);
    }

    #[test]
    fn tests_are_no_part_of_a_circle() {
        let tests = "#[cfg(test)]\nmod t {\n    use crate::b::B;\n}\n";
        let (a, b) = (["a.rs", tests], ["b.rs", "use crate::a::A;\n"]);
        check(&[a, b, ["a/tests.rs", "use crate::b::B;"]], &[]);
    }
}
