//! Migrations are embedded into the binary; a new one has to lead to a new build.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
