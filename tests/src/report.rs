//! What a test leaves for people to read.

use std::path::PathBuf;

/// Writes a file into a folder of the build's `target`. Returns where it is.
///
/// # Panics
/// If that is not possible.
pub fn write(folder: &str, name: &str, content: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // target/<profile>/deps/<test>
    let target = test.ancestors().nth(3).map(PathBuf::from).expect("target");
    let folder = target.join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}
