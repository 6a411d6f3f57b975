//! What nobody understood is kept, for people.

use aws_lc_rs::digest::{SHA256, digest};
use std::io::Write;
use std::path::Path;

use super::super::failures;
use crate::digest::seal::hex;
use crate::error::Failure;

/// Keeps a mail and a note of why. The same mail again is the same file.
pub(super) fn keep(folder: &Path, message: &[u8], why: &str) -> Result<(), Failure> {
    let name = hex(&digest(&SHA256, message).as_ref()[..12]);
    let mail = folder.join(format!("{name}.eml"));
    write(&folder.join(format!("{name}.txt")), format!("{why}\n").as_bytes())
        .and_then(|()| write(&mail, message))
        .map_err(|e| failures::file("cannot keep a returned mail in", &mail, &e))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
