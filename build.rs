//! Compiles `proto/` in pure Rust, so that a clone builds without a system `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    let mut files: Vec<PathBuf> = fs::read_dir("proto/drbackup/v1")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|kind| kind == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // So that the limits of a request are found by its name.
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    // They carry user data; `src/api/pb.rs` prints them without it.
    config.skip_debug([
        ".drbackup.v1.Manifest",
        ".drbackup.v1.CreateRestorationRequest",
    ]);
    tonic_prost_build::configure()
        .codec_path("crate::api::codec::Bounded")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
