//! Migrations are embedded into the binary; a new one has to lead to a new build. And reads the severe words out of the list of the
//! crate that finds them, which shows it only as a tree.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use anyhow::Context as _;
use rustrict::{Trie, Type};
use serde_json::Value;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build.rs");
    let tree = serde_json::to_value(Trie::default())?;
    let mut words = BTreeSet::new();
    collect(tree.get("root").context("a tree has a root")?, &mut String::new(), &mut words)?;
    anyhow::ensure!(!words.is_empty(), "the list has no severe words");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    fs::write(out.join("severe_words.txt"), words.into_iter().collect::<Vec<_>>().join("\n"))?;
    Ok(())
}

/// The severe words of a node, which is reached by the letters of `path`, and of those below it.
fn collect(node: &Value, path: &mut String, words: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let kind: Type = serde_json::from_value(node.get("typ").context("a node has a type")?.clone())?;
    if kind.is(Type::OFFENSIVE & Type::SEVERE) || kind.is(Type::SEXUAL & Type::SEVERE) {
        words.insert(path.clone());
    }
    let children = node.get("children").and_then(Value::as_object).context("a node has children")?;
    for (letter, child) in children {
        path.push_str(letter);
        collect(child, path, words)?;
        path.truncate(path.len() - letter.len());
    }
    Ok(())
}
