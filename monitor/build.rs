//! Makes Rust types and the dispatcher out of the schema's text.

#[path = "build/generate.rs"]
mod generate;
#[allow(dead_code, unreachable_pub, reason = "the crate uses the rest")]
#[path = "src/schema/text.rs"]
mod text;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=schema");
    let mut files: Vec<PathBuf> = fs::read_dir("schema")?
        .map(|e| Ok(e?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "schema"));
    files.sort();
    let mut schema = text::Schema::default();
    let mut all = String::new();
    for file in &files {
        let source = fs::read_to_string(file)?;
        schema
            .read(&source)
            .map_err(|line| format!("{}: {line}", file.display()))?;
        all.push_str(&source);
    }
    let faults = schema.faults();
    if !faults.is_empty() {
        return Err(faults.join("\n").into());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(Path::new(&out).join("all.schema"), all)?;
    fs::write(Path::new(&out).join("types.rs"), generate::types(&schema))?;
    fs::write(Path::new(&out).join("dispatch.rs"), generate::dispatch(&schema))?;
    Ok(())
}
