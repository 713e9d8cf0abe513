//! Copies `hub` and `store` and has them use the scheduler's locks, channels and threads: the text
//! is the product's own, but for the names `std::sync` and `std::thread`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let source = Path::new("../../src");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut modules = String::new();
    for name in ["hub", "store"] {
        println!("cargo::rerun-if-changed={}", source.join(name).display());
        copy(&source.join(name), &out.join(name))?;
        let path = out.join(name).join("mod.rs");
        modules += &format!("#[path = {path:?}]\npub mod {name};\n");
    }
    fs::write(out.join("modules.rs"), modules)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target)?;
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let text = text.replace("std::sync::", "crate::scheduled::sync::");
        let text = text.replace("std::thread", "crate::scheduled::thread");
        // The scheduler's watch has no `Sender::new`.
        let text = text.replace("watch::Sender::new(", "crate::scheduled::watch_sender(");
        // Their own tests run where they belong.
        fs::write(target, text.replace("#[cfg(test)]", "#[cfg(any())]"))?;
    }
    Ok(())
}
